import { type Duration, parseDurationUs } from '../../src/core/duration.ts'
import { configError } from '../../src/core/errors.ts'
import { duration, flag, list, oneOf, place, text } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Sink } from '../../src/plan/sink.ts'

export interface DeltaOptions<K extends string = string> {
  /**
   * Columns that tell rows apart: a later row takes the place of an earlier one. With `emit: 'update'` those that tell
   * results apart. Default: every row is added.
   */
  readonly key?: readonly K[]
  /** Columns whose values part the table into folders, the outer ones first: `['day']`. Default: none. */
  readonly partitionBy?: readonly K[]
  /** What is done where the table lacks columns of the flow. Default 'refuse'. */
  readonly missingColumns?: 'refuse' | 'add'
  /**
   * So long data files stay that no longer belong to the table: its former versions can be read as long. Default
   * 7 days.
   */
  readonly retention?: Duration
  /** Whether small files are written together beside the run. Default true. */
  readonly compact?: boolean
}

/** How the table is kept, which may change from run to run. */
export interface DeltaCare {
  readonly missingColumns: 'refuse' | 'add'
  readonly retentionMs: number
  readonly compact: boolean
}

/** What `delta()` gives, whatever it asks of the columns. */
export interface DeltaSink extends Omit<Sink, 'takes'> {
  readonly sink: 'delta'
  readonly key?: readonly string[]
  readonly partitionBy?: readonly string[]
  readonly access: () => DeltaCare
}

const columns = (example: string) =>
  list(text('the name of a column', undefined, 'COLUMN'), `a list of columns such as ${example}`)
const hourUs = 3_600_000_000n

export const deltaOptions = {
  uri: { kind: place, isRequired: true, isPositional: true, about: 'The folder or prefix of the table.' },
  key: {
    kind: columns("['window_start', 'zone']"),
    otherwise: 'every row is added',
    about: 'Columns that tell rows apart: a later row takes the place of an earlier one.',
  },
  partitionBy: {
    kind: columns("['day']"),
    otherwise: 'no folders',
    about: 'Columns whose values part the table into folders, the outer ones first.',
  },
  missingColumns: {
    kind: oneOf('refuse', 'add'),
    default: 'refuse',
    about: 'What is done where the table lacks columns of the flow.',
  },
  retention: {
    kind: duration('a duration from 1 hour to 3650 days', us => us >= hourUs && us <= 87_600n * hourUs),
    default: '7 days',
    about: 'How long data files stay that no longer belong to the table.',
  },
  compact: { kind: flag, default: true, about: 'Whether small files are written together beside the run.' },
} satisfies OptionTable<DeltaOptions & { readonly uri: string }>

/**
 * A sink of rows in a table of Delta Lake, each there once: the rows of an epoch and its number are one entry of the
 * table's log. The table belongs to one flow of one checkpoint, and is made where it is missing.
 *
 *     to(delta('s3://lake/daily', { key: ['window_start', 'zone'] }), { emit: 'update' })
 *
 * Others may write to it as well if they, too, put entries of the log only where there is none yet.
 *
 * @param uri a directory, as a path or `file://` address, or an `s3://bucket/prefix/` address
 * @throws MillraceError `user` that names the field and what was expected
 */
export function delta<const K extends string = never>(
  uri: string,
  options: DeltaOptions<K> = {},
): DeltaSink & Sink<{ readonly [name in K]: unknown }> {
  const read = readCall('delta', deltaOptions, [uri], options)
  const { key, partitionBy, missingColumns, retention, compact } = read
  for (const [name, given] of Object.entries({ key, partitionBy }))
    if (given && new Set(given).size < given.length) throw configError(`delta: ${name}`, given, 'each column once')
  const retentionMs = Number((parseDurationUs(retention) as bigint) / 1000n)
  return {
    sink: 'delta',
    uri: read.uri,
    ...(key && { key: [...key] }),
    ...(partitionBy && { partitionBy: [...partitionBy] }),
    access: () => ({ missingColumns, retentionMs, compact }),
  }
}
