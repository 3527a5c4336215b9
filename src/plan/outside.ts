import { text } from './sql.ts'

/*
 * A file may write a number as a type in which it means nothing: numpy's NaT, INT64_MIN, in a TIMESTAMP. DuckDB reads
 * it, and what computes with it raises, or worse. A function of a list computes the elements of other rows as well, so
 * what lies inside of a value is left out before one comes to it.
 */

/** What the types mean: from the first value to the last. Numbers below, but for the one of '-infinity', mean none. */
const rangeOf: Readonly<Record<string, readonly [first: string, last?: string]>> = {
  TIMESTAMP: ['290309-12-22 (BC) 00:00:00'],
  TIMESTAMPTZ: ['290309-12-22 (BC) 00:00:00+00'],
  // Of the day before, which does not begin within its range, DuckDB has no text.
  TIMESTAMP_NS: ['1677-09-22 00:00:00'],
  DATE: ['5877642-06-25 (BC)'],
  TIME: ['00:00:00', '24:00:00'],
  TIME_NS: ['00:00:00', '24:00:00'],
  'TIME WITH TIME ZONE': ['00:00:00+00', '24:00:00+00'],
}

/**
 * SQL predicate, never NULL: what was read is no value of the type it came as, or holds one that is none. null: every
 * value is one.
 *
 * @param from DuckDB's name of the type
 */
export function outsideOf(expr: string, from: string): string | null {
  const element = elementOf(from)
  if (element !== '') return anyElement(expr, element)
  const fields = fieldsOf(from)
  if (fields.length > 0) return anyField(expr, from, fields)
  const range = rangeOf[from]
  if (range) {
    const [first, last] = range
    return last === undefined
      ? `coalesce(${expr} < ${from} ${text(first)} AND ${expr} <> ${from} '-infinity', FALSE)`
      : `coalesce(${expr} NOT BETWEEN CAST(${text(first)} AS ${from}) AND CAST(${text(last)} AS ${from}), FALSE)`
  }
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(from)
  if (!decimal) return null
  const [digits, scale] = [Number(decimal[1]), Number(decimal[2])]
  const most = `CAST('0${'9'.repeat(digits - scale)}.${'9'.repeat(scale)}0' AS ${from})`
  return `coalesce(${expr} NOT BETWEEN -${most} AND ${most}, FALSE)`
}

/** SQL of a nested value whose parts that mean nothing are NULL. Of a sound value it is the value itself. */
export function withoutOutside(expr: string, from: string): string {
  const outside = outsideOf(expr, from)
  if (outside === null) return expr
  const element = elementOf(from)
  if (element !== '')
    return `list_transform(${expr}, lambda _out${depth(element)}: ${withoutOutside(`_out${depth(element)}`, element)})`
  const fields = fieldsOf(from)
  if (fields.length === 0) return `CASE WHEN NOT ${outside} THEN ${expr} END`
  const partOf = (of: string, name: string, type: string) =>
    `${text(name)}: ${withoutOutside(`struct_extract(${of}, ${text(name)})`, type)}`
  const one = (of: string) => `{${fields.map(({ name, type }) => partOf(of, name, type)).join(', ')}}`
  if (!from.startsWith('MAP(')) return `CASE WHEN ${expr} IS NOT NULL THEN ${one(expr)} END`
  const entry = `_out${depth(from)}`
  return `map_from_entries(list_transform(map_entries(${expr}), lambda ${entry}: ${one(entry)}))`
}

/** The type of a list's elements; '' of what is no list. */
export function elementOf(list: string): string {
  return /^(.*)\[\d*\]$/s.exec(list)?.[1] ?? ''
}

function anyElement(expr: string, element: string): string | null {
  const own = `_out${depth(element)}`
  const outside = outsideOf(own, element)
  return outside === null ? null : `coalesce(len(list_filter(${expr}, lambda ${own}: ${outside})) > 0, FALSE)`
}

function anyField(expr: string, from: string, fields: readonly Field[]): string | null {
  const of = (row: string) =>
    fields.flatMap(({ name, type }) => outsideOf(`struct_extract(${row}, ${text(name)})`, type) ?? [])
  if (!from.startsWith('MAP(')) {
    const outside = of(expr)
    return outside.length === 0 ? null : `(${outside.join(' OR ')})`
  }
  const entry = `_out${depth(from)}`
  const outside = of(entry)
  return outside.length === 0
    ? null
    : `coalesce(len(list_filter(map_entries(${expr}), lambda ${entry}: (${outside.join(' OR ')}))) > 0, FALSE)`
}

/** A name of a lambda's own at each depth. */
const depth = (type: string): number => type.length

interface Field {
  readonly name: string
  readonly type: string
}

/** The fields of a struct, or of the entries of a map; none of what is neither. */
function fieldsOf(type: string): readonly Field[] {
  const inner = /^(STRUCT|MAP)\((.*)\)$/s.exec(type)
  if (!inner) return []
  const parts = partsOf(inner[2] as string)
  if (inner[1] === 'MAP')
    return [
      { name: 'key', type: parts[0] ?? '' },
      { name: 'value', type: parts[1] ?? '' },
    ]
  return parts.flatMap(part => {
    const found = /^(?:"((?:[^"]|"")*)"|([^\s"]+)) (.*)$/s.exec(part)
    return found ? [{ name: (found[1] ?? found[2] ?? '').replaceAll('""', '"'), type: found[3] as string }] : []
  })
}

/** Text cut at commas that are in no parentheses and no quotes. */
function partsOf(list: string): readonly string[] {
  const parts: string[] = []
  let [from, open] = [0, 0]
  for (let at = 0; at < list.length; at++) {
    const letter = list[at]
    if (letter === '"') at = quoteEnd(list, at)
    else if (letter === '(') open++
    else if (letter === ')') open--
    else if (letter === ',' && open === 0) {
      parts.push(list.slice(from, at).trim())
      from = at + 1
    }
  }
  return [...parts, list.slice(from).trim()]
}

function quoteEnd(list: string, from: number): number {
  const end = list.indexOf('"', from + 1)
  return end === -1 ? list.length : end
}
