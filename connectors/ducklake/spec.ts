import { type Duration, parseDurationUs } from '../../src/core/duration.ts'
import { configError } from '../../src/core/errors.ts'
import { duration, list, place, text, whole } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'

export interface DucklakeOptions<K extends string = string> {
  /** The table, made where it is missing. */
  readonly table: string
  /** The schema of the lake that the table lies in, made where it is missing. Default 'main'. */
  readonly schema?: string
  /**
   * Columns that tell rows apart: a later row takes the place of an earlier one. With `emit: 'update'` those that tell
   * results apart. Default: every row is added.
   */
  readonly key?: readonly K[]
  /**
   * How long snapshots of the lake are kept, so that tables can be read as they were: `AT (VERSION => 12)`. The commits
   * that follow give older ones up, and files that only they had are deleted an hour later. Default 3 days.
   */
  readonly history?: Duration
  /** So many snapshots of the lake are kept at most, which bounds the size of its catalog. Default 1,000. */
  readonly snapshotsMax?: number
}

/** What may change from run to run. */
export interface DucklakeAccess {
  readonly historyMs: number
  readonly snapshotsMax: number
}

/** What `ducklake()` gives, whatever it asks of the columns. */
export interface DucklakeSink extends Omit<Sink, 'takes'>, Pick<DucklakeOptions, 'table' | 'schema' | 'key'> {
  readonly sink: 'ducklake'
  /** Absent where only the plan of an earlier run is at hand. */
  readonly access?: () => DucklakeAccess
}

const name = text(
  "a name of letters, digits, '_' and '-' that begins with a letter or '_'",
  value => /^[A-Za-z_][A-Za-z0-9_-]{0,127}$/.test(value),
  'NAME',
)

export const ducklakeOptions = {
  uri: { kind: place, isRequired: true, isPositional: true, about: 'The folder or prefix of the lake.' },
  table: { kind: name, isRequired: true, about: 'The table, made where it is missing.' },
  schema: { kind: name, otherwise: 'main', about: 'The schema that the table lies in, made where it is missing.' },
  key: {
    kind: list(text('the name of a column', undefined, 'COLUMN'), "a list of columns such as ['window_start', 'zone']"),
    otherwise: 'every row is added',
    about: 'Columns that tell rows apart: a later row takes the place of an earlier one.',
  },
  history: {
    kind: duration('a duration from 1s to 10 years', us => us >= 1_000_000n && us <= 315_360_000_000_000n),
    default: '3 days',
    about: 'How long a snapshot is kept, so that the table can be read as it was.',
  },
  snapshotsMax: {
    kind: whole(1, 100_000),
    unit: 'snapshots',
    default: 1_000,
    about: 'How many snapshots of the lake are kept at most; commits of all its tables make them.',
  },
} satisfies OptionTable<DucklakeOptions & { readonly uri: string }>

const accessOf = (history: Duration, snapshotsMax: number): DucklakeAccess => ({
  historyMs: Number((parseDurationUs(history) as bigint) / 1000n),
  snapshotsMax,
})

/** Where nothing else was asked for. */
export const accessDefault = accessOf(ducklakeOptions.history.default, ducklakeOptions.snapshotsMax.default)

/**
 * A sink of rows in a table of a DuckLake, each there once: the rows of an epoch and its number become visible by one
 * conditional write of the catalog, `catalog.ducklake` in the lake's folder. No server has a part in it. The table
 * belongs to one flow of one checkpoint; several tables, also of several pipelines, may share a lake.
 *
 *     to(ducklake('s3://lake/trips', { table: 'revenue' }))
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` that names the field and what was expected
 */
export function ducklake<const K extends string = never>(
  uri: string,
  options: DucklakeOptions<K>,
): DucklakeSink & Sink<{ readonly [name in K]: unknown }> {
  const { history, snapshotsMax, key, ...kept } = readCall('ducklake', ducklakeOptions, [uri], options)
  if (key && (key.length === 0 || new Set(key).size < key.length))
    throw configError('ducklake: key', key, 'at least one column, each once')
  const access = accessOf(history, snapshotsMax)
  return { sink: 'ducklake', ...kept, ...(key && { key: [...key] }), access: () => access }
}
