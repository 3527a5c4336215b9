import { configError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import type { ObjectVersion } from '../core/object-version.ts'
import type { ParsedType } from '../core/types.ts'
import { type DeclaredColumn, declaredColumns } from './declared-column.ts'
import { type Period, keyPeriod, parseInstantUs } from './key-period.ts'
import type { SourceSettings } from './source-settings.ts'

/** What an object's key or metadata gives for a column: its text, null for NULL; or why it gives nothing. */
export type Fact = string | null | { readonly missing: string }

/** What can be read FROM META, by column name, and of which types: each holds every value. */
const metaTypes = {
  object_key: ['VARCHAR'],
  object_bucket: ['VARCHAR'],
  object_size: ['BIGINT', 'UBIGINT', 'VARCHAR'],
  object_last_modified: ['TIMESTAMP', 'TIMESTAMPTZ', 'VARCHAR'],
} as const satisfies Readonly<Record<string, readonly ParsedType['name'][]>>

type MetaName = keyof typeof metaTypes

/** As the ledger has them: a replay gives the same. */
const metaValues: Readonly<Record<MetaName, (version: ObjectVersion) => string | null>> = {
  object_key: ({ key }) => key,
  object_bucket: ({ bucket }) => bucket,
  object_size: ({ sizeBytes }) => String(sizeBytes),
  object_last_modified: ({ lastModifiedMs }) => isoOf(Math.trunc(lastModifiedMs)),
}

/** Years of four digits are what a time in text has. */
function isoOf(ms: number): string | null {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) || !/^\d{4}-/.test(date.toISOString()) ? null : date.toISOString()
}

/** Refuses a column FROM META that is none, and one FROM KEY of a type that no key names. */
export function checkFact(name: string, type: ParsedType, fact: 'key' | 'meta', field: string): void {
  if (type.list) throw configError(field, `${type.sql} FROM ${fact.toUpperCase()}`, 'a type that is no list')
  if (fact === 'key') return
  const names = Object.keys(metaTypes)
  if (!Object.hasOwn(metaTypes, name)) {
    const near = nearestName(name, names)
    const asked = near === undefined ? '' : `; did you mean ${near}?`
    throw configError(field, name, `one of the columns that are there FROM META: ${names.join(', ')}${asked}`)
  }
  const types: readonly string[] = metaTypes[name as MetaName]
  if (!types.includes(type.name)) throw configError(field, `${type.sql} FROM META`, types.join(' or '))
}

const nullFolder = '__HIVE_DEFAULT_PARTITION__'

/** What Hive wrote as %3A. A text that is no such encoding stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What folders `name=value/` of a key say, in their order; null for Hive's folder of NULL. */
export function folderValues(key: string): readonly (readonly [name: string, value: string | null])[] {
  const folders = key.split('/').slice(0, -1)
  return folders.flatMap(folder => {
    const at = folder.indexOf('=')
    if (at < 1) return []
    const value = folder.slice(at + 1)
    return [[decoded(folder.slice(0, at)), value === nullFolder ? null : decoded(value)] as const]
  })
}

/** The value of `name=value/` in a key: of the folder of that very name, else the only one without regard to case. */
function folderValue(name: string, key: string): Fact {
  const pairs = folderValues(key)
  const exact = pairs.filter(([own]) => own === name)
  const found = exact.length > 0 ? exact : pairs.filter(([own]) => own.toLowerCase() === name.toLowerCase())
  const [only] = found
  if (only === undefined) return { missing: `its key has no folder '${name}=...'` }
  if (found.length > 1) return { missing: `its key has more than one folder '${name}=...'` }
  return only[1]
}

/** The values that a key has in the places of a pattern; undefined where it does not fit. */
export type KeyPattern = (key: string) => Readonly<Record<string, string>> | undefined

/**
 * Reads a pattern of the end of keys: `{name}` is one or more characters other than '/', as few as fit, and '*' any
 * number of them.
 *
 * @returns what reads it, and the names in it
 * @throws MillraceError `user` for a pattern without a name, with one twice, or with two that touch
 */
export function parseKeyPattern(
  pattern: string,
  field: string,
): { readonly names: readonly string[]; readonly match: KeyPattern } {
  const parts = pattern.split(/(\{[^{}]*\}|\*)/)
  const names = parts.flatMap(part => (part.startsWith('{') ? [part.slice(1, -1)] : []))
  const expected = "text with names in braces, such as '{region}/trips_{dt}.parquet'"
  if (names.length === 0 || names.includes('')) throw configError(field, pattern, expected)
  if (new Set(names).size < names.length) throw configError(field, pattern, `${expected}, each name once`)
  if (/[}*][{*]/.test(pattern)) throw configError(field, pattern, `${expected}, with text between two names`)
  const expression = parts
    .map(part =>
      part === '*' ? '[^/]*?' : part.startsWith('{') ? '([^/]+?)' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
    )
    .join('')
  const matcher = new RegExp(`(?:^|/)${expression}$`)
  return {
    names,
    match(key) {
      const found = matcher.exec(key)
      return found === null ? undefined : Object.fromEntries(names.map((name, index) => [name, found[index + 1] ?? '']))
    },
  }
}

/** What an object gives for each of these columns, by name; those of its rows are not among them. */
export type ObjectFacts = (version: ObjectVersion) => ReadonlyMap<string, Fact>

export function objectFacts(settings: SourceSettings): ObjectFacts {
  const columns = declaredColumns(settings).filter(({ fact }) => fact !== undefined)
  const pattern = settings.keyPattern === undefined ? undefined : parseKeyPattern(settings.keyPattern, 'keyPattern')
  const keyValue = (name: string, key: string): Fact => {
    if (!pattern?.names.includes(name)) return folderValue(name, key)
    return pattern.match(key)?.[name] ?? { missing: `its key does not fit keyPattern '${settings.keyPattern}'` }
  }
  const valueOf = ({ name, fact, ifMissing }: DeclaredColumn, version: ObjectVersion): Fact => {
    if (fact === 'meta') return metaValues[name as MetaName](version)
    const found = keyValue(name, version.key)
    return found !== null && typeof found === 'object' && ifMissing !== undefined ? ifMissing : found
  }
  return version => new Map(columns.map(column => [column.name, valueOf(column, version)]))
}

/** The span of time that a key is of, and what names it. */
export interface KeyTime {
  readonly of: 'bounds' | 'column'
  period(key: string): Pick<Period, 'startUs'> | undefined
}

/**
 * How keys name times: by the key pattern of `watermark.bounds`, else by the column FROM KEY that is a time, where
 * there is one only. Objects are ordered by it (S7), and --from and --to choose by it.
 */
export function keyTime(settings: SourceSettings): KeyTime | undefined {
  if (settings.bounds?.is === 'key') return { of: 'bounds', period: keyPeriod(settings.bounds.pattern, 'bounds') }
  const times = declaredColumns(settings).filter(
    ({ type, fact }) => fact === 'key' && ['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(type.name),
  )
  const [column] = times
  if (column === undefined || times.length > 1) return undefined
  const facts = objectFacts(settings)
  return {
    of: 'column',
    period(key) {
      const value = facts({ bucket: '', key, eTag: '', sizeBytes: 0, lastModifiedMs: 0 }).get(column.name)
      const startUs = typeof value === 'string' ? parseInstantUs(value) : undefined
      return startUs === undefined ? undefined : { startUs }
    },
  }
}
