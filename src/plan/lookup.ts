import { declarationsOf } from '../core/column-declaration.ts'
import { type Duration, durationUs } from '../core/duration.ts'
import { configError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { aboveZero, list, text } from '../core/option-kinds.ts'
import { type OptionTable, readCall } from '../core/options.ts'
import type { DeclaredColumns } from '../core/types.ts'
import { didYouMean } from '../core/nearest.ts'
import { checkFacts, checkWithoutHeader, columnSettings } from './declared-settings.ts'
import type { KeySettings } from './key-settings.ts'
import { inputColumn } from './relation.ts'
import { type FormatSpec, type SourceOptions, sourceOptions } from './source-options.ts'
import type { SourcePolicies, SourceSettings } from './source-settings.ts'

/** A table that rows are joined with, as it is at the place of each row in the ledger (S25). */
export interface LookupDefinition {
  /** As a source has them. There is no event time. */
  readonly settings: SourceSettings
  /** Columns that together name a row. */
  readonly key: readonly string[]
  readonly objects: string
  readonly keys: KeySettings
  readonly policies: SourcePolicies
  /** Milliseconds between looks at the place, in a run that follows its sources. */
  readonly refreshMs: number
}

/** As plans have it. */
export function lookupJson({ settings, key }: LookupDefinition): Json {
  return { ...settings, key: [...key] } as unknown as Json
}

type Shared = 'keyPattern' | 'suffix' | 'hidden' | 'symlinks'

/** Where a lookup's table lies, and how it is read. */
export interface LookupOptions<C extends DeclaredColumns, K extends string>
  extends Pick<SourceOptions<C, never>, Shared> {
  /** One object, or a folder or prefix whose objects make the table together: a path, `file://` or `s3://` address. */
  readonly objects: string
  readonly format: FormatSpec
  /**
   * Column name to `TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]`, as of a source. A value that does not fit
   * refuses the table.
   */
  readonly columns: C
  /** The columns that together name a row of the table, each NOT NULL. No two rows may be equal in all of them. */
  readonly key: readonly K[]
  /**
   * How often a run that follows its sources looks whether the objects have changed. Default: every minute. A backfill
   * looks once, at its start.
   */
  readonly refresh?: Duration
}

const { name, objects, format, columns, keyPattern, suffix, hidden, symlinks } = sourceOptions

const refreshDefault: Duration = '1 minute'

export const lookupOptions = {
  name: { ...name, about: 'The name of the lookup in messages and in the plan.' },
  objects: { ...objects, about: 'One object, or the place of the objects that make the table together.' },
  format,
  columns,
  key: {
    kind: list(text('the name of a column'), "at least one column, such as ['id']"),
    isRequired: true,
    about: 'The columns that together name a row of the table.',
  },
  refresh: {
    kind: aboveZero,
    default: refreshDefault,
    about: 'Live only: how often it is looked whether the objects have changed.',
  },
  keyPattern,
  suffix,
  hidden,
  symlinks,
} satisfies OptionTable<LookupOptions<DeclaredColumns, string> & { readonly name: string }>

/** @throws MillraceError `user` that names the field, the value and what was expected */
export function defineLookup(given: string, options: LookupOptions<DeclaredColumns, string>): LookupDefinition {
  const at = typeof given === 'string' ? `lookup ${given}` : 'lookup'
  const read = readCall(at, lookupOptions, [given], options)
  const parsed = declarationsOf(read.columns, `${at}: columns`)
  if (read.format.isByPlace) checkWithoutHeader(parsed, `${at}: columns`)
  checkFacts(parsed, read.keyPattern, at)
  const { columns: types, ...declared } = columnSettings(parsed, undefined)
  checkKey(read.key, types, `${at}: key`)
  const { hidden, symlinks, suffix = read.format.suffixes } = read
  return {
    objects: read.objects,
    key: read.key,
    keys: { hidden, symlinks, ...(suffix === undefined ? {} : { suffixes: [suffix].flat() }) },
    refreshMs: Number(durationUs(read.refresh, `${at}: refresh`) / 1000n),
    settings: {
      name: given,
      format: read.format.format,
      ...(Object.keys(read.format.settings).length > 0 ? { [read.format.format]: read.format.settings } : {}),
      columns: types,
      ...declared,
      ...(read.keyPattern === undefined ? {} : { keyPattern: read.keyPattern }),
    },
    // What is wrong with one object is wrong with the table, and the lookup says so itself.
    policies: {
      onBadRow: 'quarantine',
      onBadObject: 'quarantine',
      onDenied: 'quarantine',
      overwrite: 'append',
      ...(read.format.rowBytesMax === undefined ? {} : { rowBytesMax: read.format.rowBytesMax }),
    },
  }
}

function checkKey(key: readonly string[], types: Readonly<Record<string, string>>, field: string): void {
  for (const [index, column] of key.entries()) {
    const type = Object.hasOwn(types, column) ? types[column] : undefined
    if (type === undefined)
      throw configError(
        field,
        column,
        `one of its columns: ${Object.keys(types).join(', ')}${didYouMean(column, Object.keys(types))}`,
      )
    if (key.indexOf(column) !== index) throw configError(field, key, `each column once; '${column}' is there twice`)
    if (!type.endsWith(' NOT NULL'))
      throw configError(
        field,
        `${column} ${type}`,
        `a column that is NOT NULL, as nothing equals NULL: ${column}: '${type} NOT NULL'`,
      )
  }
}

/** A version of a lookup: its place in the ledger, and the table of this session that has its rows. */
export interface LookupVersion {
  /** The number of its ledger entry: rows of later entries meet it, until the next version. */
  readonly seq: number
  readonly table: string
}

/** The versions of a lookup that rows may meet, as SQL. */
export interface LookupRows {
  /** Rows of all of them: the lookup's columns, with `_version`. */
  readonly sql: string
  /** Over a row of the input: the `_version` that it meets; NULL where there is none yet. */
  readonly version: string
}

/** Hidden column of a lookup's rows: the number of the ledger entry that they came with. */
export const versionColumn = '_version'

/** @param versions in the order of the ledger, at least one */
export function lookupRows(versions: readonly LookupVersion[]): LookupRows {
  const later = versions.toReversed().map(({ seq }) => `WHEN ${inputColumn('_seq')} > ${seq} THEN ${seq}`)
  const rows = versions.map(({ seq, table }) => `SELECT CAST(${seq} AS BIGINT) AS ${versionColumn}, * FROM ${table}`)
  return { sql: rows.join(' UNION ALL '), version: `CASE ${later.join(' ')} END` }
}
