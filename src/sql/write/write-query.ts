import { parseSignedUs } from '../../core/duration.ts'
import { inputOf, type PlanNode } from '../../plan/node.ts'
import { id, text } from '../../plan/sql.ts'
import { aggregates } from '../../../operators/aggregates/registry.ts'
import { columnName } from '../../../operators/aggregates/aggregate.ts'
import type { OptionTable } from '../../core/options.ts'
import { eventTimeOf } from '../query/event-time.ts'
import { windows } from '../windows/windows.ts'
import { noForm } from './no-sql-form.ts'
import { intervalOfUs, intervalText } from './options-text.ts'

type Options = Readonly<Record<string, unknown>>

/** What names the rows of a step in the text. */
export type NameOf = (node: PlanNode) => string

/** The query of one step over what feeds it; undefined where the step has none of its own, as a window. */
export function queryText(node: PlanNode, nameOf: NameOf): string | undefined {
  const options = node.options as Options
  switch (node.op) {
    case 'where':
      return `SELECT * FROM ${nameOf(inputOf(node))} WHERE ${clause(options.predicate)}`
    case 'derive':
      return deriveText(node, options, nameOf)
    case 'select':
      return selectText(node, options, nameOf)
    case 'rename':
      return (
        `SELECT ${renamed(inputOf(node), options as Readonly<Record<string, string>>)} FROM ` +
        `${nameOf(inputOf(node))}`
      )
    case 'aggregate':
      return aggregateText(node, options, nameOf)
    case 'topN':
      return topText(node, options, nameOf)
    case 'dedupe':
      return dedupeText(node, options, nameOf)
    case 'union':
      if (Object.keys(options).length > 0) return noForm('union(...) with sourceColumn has no SQL form')
      return node.inputs.map(input => `SELECT * FROM ${nameOf(input)}`).join('\nUNION ALL BY NAME\n')
    case 'join':
      return joinText(node, options, nameOf)
    case 'groupBy':
      return undefined
    default:
      if (node.step.is === 'window') return undefined
      return noForm(`${node.op}(...) has no SQL form`)
  }
}

/** An expression as the user wrote it; a comment at its end would take what follows. */
function clause(sql: unknown): string {
  return /--/.test(String(sql)) ? `${String(sql)}\n` : String(sql)
}

function selectText(node: PlanNode, { columns }: Options, nameOf: NameOf): string {
  const names = columns as readonly string[]
  // A query that keeps every column is no step.
  if (names.join('\0') === Object.keys(inputOf(node).columns).join('\0'))
    return noForm('select(...) of all columns, in the order that they have already, has no SQL form; leave it out')
  return `SELECT ${names.map(id).join(', ')} FROM ${nameOf(inputOf(node))}`
}

function deriveText(node: PlanNode, options: Options, nameOf: NameOf): string {
  const input = inputOf(node)
  const made = Object.entries(options as Readonly<Record<string, readonly [string, string]>>)
  const replaced = made.map(([name]) => name).filter(name => Object.hasOwn(input.columns, name))
  const items = made.map(([name, [type, sql]]) => {
    if (/ NOT NULL$/i.test(type)) return noForm(`derive ${name}: a type with NOT NULL has no SQL form`)
    return `CAST(${clause(sql)} AS ${type}) AS ${id(name)}`
  })
  const kept =
    replaced.length === Object.keys(input.columns).length
      ? []
      : [`*${replaced.length > 0 ? ` EXCLUDE (${replaced.map(id).join(', ')})` : ''}`]
  return `SELECT ${[...kept, ...items].join(', ')} FROM ${nameOf(input)}`
}

function renamed(input: PlanNode, names: Readonly<Record<string, string>>): string {
  return Object.keys(input.columns)
    .map(name => (Object.hasOwn(names, name) ? `${id(name)} AS ${id(names[name] ?? '')}` : id(name)))
    .join(', ')
}

/** `TUMBLE(rows, INTERVAL '1 hour')` */
function windowText(window: PlanNode, nameOf: NameOf): string {
  const options = window.options as Options
  const found = windows.find(({ op }) => op === window.op)
  if (!found) return noForm(`the window ${window.op}(...) has no SQL form`)
  const given = found.takes.flatMap(({ name, is }, index) => {
    const value = options[name]
    if (value === undefined) return []
    const written = is === 'interval' ? intervalText(String(value as string)) : text(String(value as string))
    const isBehindGap = found.takes.slice(0, index).some(before => options[before.name] === undefined)
    return [isBehindGap ? `${name} := ${written}` : written]
  })
  return `${found.name}(${[nameOf(inputOf(window)), ...given].join(', ')})`
}

function aggregateText(node: PlanNode, calls: Options, nameOf: NameOf): string {
  const group = inputOf(node)
  const window = inputOf(group)
  const { keys } = group.options as unknown as { readonly keys: readonly string[] }
  const isEndless = window.step.is === 'window' && window.step.isEndless === true
  const groups = [...(isEndless ? [] : ['window_start', 'window_end']), ...keys.map(id)]
  const items = [
    ...groups,
    ...Object.entries(calls as Readonly<Record<string, Options>>).map(
      ([name, call]) => `${callText(call)} AS ${id(name)}`,
    ),
  ]
  const by = groups.length === 0 ? '' : `\nGROUP BY ${groups.join(', ')}`
  return `SELECT ${items.join(', ')}\nFROM ${windowText(window, nameOf)}${by}`
}

function callText({ aggregate, filter, ...given }: Options): string {
  const name = String(aggregate as string)
  const table = (aggregates.get(name)?.options ?? {}) as OptionTable
  const args = Object.entries(given)
    .toSorted(([a], [b]) => Object.keys(table).indexOf(a) - Object.keys(table).indexOf(b))
    .map(([option, value]) => {
      const written =
        table[option]?.kind === columnName
          ? id(String(value as string))
          : typeof value === 'number'
            ? String(value)
            : text(String(value as string))
      return table[option]?.isPositional ? written : `${id(option)} := ${written}`
    })
  const where = filter === undefined ? '' : ` FILTER (WHERE ${clause(filter)})`
  const sql = name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
  return `${sql}(${name === 'count' ? '*' : args.join(', ')})${where}`
}

function topText(node: PlanNode, { n, by, per }: Options, nameOf: NameOf): string {
  const input = inputOf(node)
  const start = ['window_start', 'window_end'].find(name => Object.hasOwn(input.columns, name))
  if (start === undefined) return noForm('topN(...) of rows without window_start has no SQL form')
  const groups = [start, ...(per as readonly string[]).map(id)]
  const order = (by as readonly (string | readonly [string, string])[]).map(item =>
    typeof item === 'string' ? id(item) : `${id(item[0])} ${item[1].toUpperCase()}`,
  )
  const over = `row_number() OVER (PARTITION BY ${groups.join(', ')} ORDER BY ${order.join(', ')})`
  return `SELECT *, ${over} AS rank\nFROM ${nameOf(input)}\nQUALIFY rank <= ${String(n as number)}`
}

function dedupeText(node: PlanNode, { key, within, keep }: Options, nameOf: NameOf): string {
  const kept = keep === undefined ? [] : [`keep := ${text(String(keep as string))}`]
  const args = [
    nameOf(inputOf(node)),
    ...(key as readonly string[]).map(id),
    intervalText(String(within as string)),
    ...kept,
  ]
  return `SELECT * FROM DEDUPE(${args.join(', ')})`
}

function joinText(node: PlanNode, { on, within, kind, lookup, window }: Options, nameOf: NameOf): string {
  const [left, right] = node.inputs as readonly [PlanNode, PlanNode | undefined]
  const pairs = Object.entries(on as Readonly<Record<string, string>>)
  const equal = pairs.map(([own, other]) => `a.${id(own)} = b.${id(other)}`)
  const word = kind === 'inner' ? 'JOIN' : `${String(kind as string).toUpperCase()} JOIN`
  const items = joinItems(node, pairs, String(kind as string))
  if (lookup !== undefined)
    return (
      `SELECT ${items}\nFROM ${nameOf(left)} AS a\n${word} ${id((lookup as { name: string }).name)} AS b ` +
      `ON ${equal.join(' AND ')}`
    )
  if (!right) return noForm('this join has no SQL form')
  if (window === true) {
    const same = ['window_start', 'window_end'].map(name => `a.${name} = b.${name}`)
    return (
      `SELECT ${items}\nFROM ${windowText(left, nameOf)} AS a\n${word} ${windowText(right, nameOf)} AS b ` +
      `ON ${[...equal, ...same].join(' AND ')}`
    )
  }
  const [time, other] = [left, right].map(eventTimeOf).map(({ column, source }) => column ?? source)
  if (time === undefined || other === undefined)
    return noForm('a join of rows whose event time is no column of theirs has no SQL form')
  const [lo, hi] = (within as readonly string[]).map(length => moved(`a.${id(time)}`, length))
  return (
    `SELECT ${items}\nFROM ${nameOf(left)} AS a\n${word} ${nameOf(right)} AS b ON ` +
    `${equal.join(' AND ')}\n  AND b.${id(other)} BETWEEN ${lo} AND ${hi}`
  )
}

/** The columns of a join by the side that they come from. */
function joinItems(node: PlanNode, pairs: readonly (readonly [string, string])[], kind: string): string {
  const [left] = node.inputs
  if (kind === 'semi' || kind === 'anti') return Object.hasOwn(node.options as object, 'window') ? allOf(node) : '*'
  if (kind === 'full') return noForm("a join of kind 'full' has no SQL form that names its columns once")
  return Object.keys(node.columns)
    .map(name => {
      if (name === 'window_start' || name === 'window_end') return `a.${name}`
      const pair = pairs.find(([own]) => own === name)
      if (pair && kind === 'right') return pair[1] === name ? `b.${id(name)}` : `b.${id(pair[1])} AS ${id(name)}`
      return `${Object.hasOwn(left?.columns ?? {}, name) ? 'a' : 'b'}.${id(name)}`
    })
    .join(', ')
}

function allOf(node: PlanNode): string {
  return Object.keys(node.columns)
    .map(name => `a.${id(name)}`)
    .join(', ')
}

function moved(time: string, length: string): string {
  const us = parseSignedUs(length) ?? 0n
  if (us === 0n) return time
  return us < 0n ? `${time} - ${intervalOfUs(-us)}` : `${time} + ${intervalOfUs(us)}`
}
