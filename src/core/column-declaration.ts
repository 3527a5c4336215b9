import { configError } from './errors.ts'
import { nearestName } from './nearest.ts'
import { columnsOf, type ParsedType } from './types.ts'

/** A column of a source as it is declared: `TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]`. */
export interface ColumnDeclaration {
  readonly type: ParsedType
  /**
   * What stands where an object lacks the column: the text of the literal, null for NULL. Absent: it may not lack it.
   */
  readonly ifMissing?: string | null
  /** The object's name of the column, where it is another one. */
  readonly from?: string
  /** It is no column of the object: its key or its metadata gives it. */
  readonly fact?: 'key' | 'meta'
}

const grammar = 'TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]'
const literals = "NULL, TRUE, FALSE, a number, or text in single quotes, such as DEFAULT 'none'"

/** A word of the grammar that is not one of a type, and what follows it. */
const clauses = /^(.*?)(\s+(?:DEFAULT|FROM)(?![A-Za-z0-9_]).*)$/is
const literal =
  /^\s+DEFAULT(?:\s+|(?='))('(?:[^']|'')*'|[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|NULL|TRUE|FALSE)(?=\s|$)/i
const origin = /^\s+FROM(?:\s+|(?="))("(?:[^"]|"")+"|[^\s'"]+)(?=\s|$)/i

/**
 * Checks the declared columns of a source and parses their declarations.
 *
 * @param field names them in errors: 'source trips: columns'
 * @returns name -> declaration, in declared order
 */
export function declarationsOf(
  columns: Readonly<Record<string, string>>,
  field: string,
): Readonly<Record<string, ColumnDeclaration>> {
  const split = Object.entries(columns ?? {}).map(([name, text]) => {
    const [, type = text, rest = ''] = (typeof text === 'string' ? clauses.exec(text) : null) ?? []
    checkWords(type, `${field}.${name}`, text)
    return { name, text, type, rest }
  })
  const types = columnsOf(Object.fromEntries(split.map(({ name, type }) => [name, type])), field)
  return Object.fromEntries(
    split.map(({ name, text, rest }) => [name, declaration(types[name] as ParsedType, rest, text, `${field}.${name}`)]),
  )
}

/** Tells a misspelt DEFAULT or FROM behind a type, which would be told as an unknown type. */
function checkWords(type: string, field: string, written: string): void {
  const behind = /^\s*[A-Z]+\s*(?:\([^)]*\))?\s*(?:\[\s*\])?(?:\s+NOT\s+NULL)?\s+([A-Z]+)(?![A-Z])/i.exec(type)?.[1]
  if (behind === undefined || /^(NOT|WITH)$/i.test(behind)) return
  const near = nearestName(behind, ['DEFAULT', 'FROM', 'NOT NULL'])
  const asked = near === undefined ? '' : `; did you mean ${near} instead of ${behind}?`
  throw configError(field, written, `${grammar}${asked || `, and found ${behind} behind the type`}`)
}

function declaration(type: ParsedType, rest: string, written: string, field: string): ColumnDeclaration {
  const wrong = (expected: string) => configError(field, written, expected)
  let left = rest
  let found: Omit<ColumnDeclaration, 'type'> = {}
  if (/^\s+DEFAULT/i.test(left)) {
    const [taken = '', value] = literal.exec(left) ?? []
    if (value === undefined) throw wrong(`a literal after DEFAULT: ${literals}${meantText(left)}`)
    found = { ifMissing: literalText(value) }
    left = left.slice(taken.length)
  }
  if (/^\s+FROM/i.test(left)) {
    const [taken = '', name] = origin.exec(left) ?? []
    if (name === undefined)
      throw wrong(`a name after FROM, such as FROM PULocationID or FROM "a name"; or FROM KEY, FROM META`)
    found = { ...found, ...originOf(name, wrong) }
    left = left.slice(taken.length)
  }
  if (left.trim() !== '') throw wrong(`${grammar}, in this order; '${left.trim()}' is left over${meantOrder(left)}`)
  if (found.ifMissing === null && !type.nullable)
    throw wrong('another value than NULL after DEFAULT, or no NOT NULL before it')
  if (found.fact === 'meta' && found.ifMissing !== undefined)
    throw wrong('no DEFAULT before FROM META, as every object has what is there')
  return { type, ...found }
}

/**
 * KEY and META are words of the grammar in capitals; files have columns of these names, which are written in quotes.
 */
function originOf(name: string, wrong: (expected: string) => Error): Pick<ColumnDeclaration, 'from' | 'fact'> {
  if (name.startsWith('"')) return { from: name.slice(1, -1).replaceAll('""', '"') }
  if (name === 'KEY' || name === 'META') return { fact: name === 'KEY' ? 'key' : 'meta' }
  if (!/^(key|meta)$/i.test(name)) return { from: name }
  const what = /^key$/i.test(name) ? "a value of the object's key" : "one of the object's metadata"
  throw wrong(`FROM ${name.toUpperCase()} for ${what}, or FROM "${name}" for a column of that name`)
}

/** A word without quotes was meant as text. */
function meantText(left: string): string {
  const word = /^\s+DEFAULT\s+"?([\p{L}_][^\s'"()]*)"?\s*(?:FROM\b|$)/iu.exec(left)?.[1]
  return word === undefined ? '' : `; did you mean DEFAULT '${word}'?`
}

function meantOrder(left: string): string {
  if (/^\s*NOT\s+NULL/i.test(left)) return '; did you mean NOT NULL right behind the type?'
  return /^\s*DEFAULT/i.test(left) ? '; did you mean DEFAULT before FROM?' : ''
}

/** The literal as a text field of an object would say it; null for NULL. */
function literalText(value: string): string | null {
  if (value.startsWith("'")) return value.slice(1, -1).replaceAll("''", "'")
  return value.toUpperCase() === 'NULL' ? null : value.toLowerCase()
}
