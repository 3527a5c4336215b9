import { keyOf, type AddFile } from './actions.ts'
import { termOfKey } from './data-file.ts'
import type { Column } from './rows.ts'
import type { KeyBounds } from '../lake/key-files.ts'
import type { ColumnStatistics, LakeColumn } from '../lake/statistics.ts'

/** With numbers as they are written: one of 19 digits would lose some. */
const parseExact = JSON.parse as (
  text: string,
  revive: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown

interface Stats {
  readonly minValues?: Readonly<Record<string, unknown>>
  readonly maxValues?: Readonly<Record<string, unknown>>
  readonly nullCount?: Readonly<Record<string, unknown>>
}

/** What the log tells of a file's values in the columns of a key. */
export function keyBounds(file: AddFile, key: readonly Column[]): KeyBounds {
  const stats = statsOf(file)
  const isOwn = termOfKey(keyOf(file.path) ?? '') !== undefined
  return Object.fromEntries(
    key.map(column => [column.name, partBounds(file, column) ?? columnBounds(stats, column, isOwn)]),
  )
}

function partBounds({ partitionValues }: AddFile, { name }: Column): ColumnStatistics | undefined {
  if (!Object.hasOwn(partitionValues, name)) return undefined
  const value = partitionValues[name] ?? null
  return value === null ? { nulls: 1 } : { min: value, max: value, nulls: 0 }
}

const comparable = /^(TINYINT|SMALLINT|INTEGER|BIGINT|VARCHAR|DATE|TIMESTAMP|TIMESTAMPTZ)$/
/** Other writers round the former, and leave NaN out of the latter. */
const ownOnly = /^(DECIMAL\(.*\)|FLOAT|DOUBLE)$/

function columnBounds(stats: Stats, { name, sql }: Column, isOwn: boolean): ColumnStatistics {
  const [min, max, nulls] = [stats.minValues, stats.maxValues, stats.nullCount].map(values => values?.[name])
  const isUsed = comparable.test(sql) || (isOwn && ownOnly.test(sql))
  return {
    ...(isUsed && typeof min === 'string' && { min }),
    ...(isUsed && typeof max === 'string' && { max }),
    ...(typeof nulls === 'string' && /^\d+$/.test(nulls) && { nulls: Number(nulls) }),
  }
}

function statsOf({ stats }: AddFile): Stats {
  if (stats === undefined) return {}
  try {
    const exact = (_key: string, value: unknown, { source }: { readonly source?: string }) =>
      typeof value === 'number' ? source : value
    return (parseExact(stats, exact) ?? {}) as Stats
  } catch {
    // A file of which nothing is known may hold any key.
    return {}
  }
}

/** SQL: the greatest value of a file whose bound is this one, as writers cut bounds. */
export function upTo(bound: string, { sql }: LakeColumn): string {
  if (sql === 'VARCHAR') return `(${bound} || chr(1114111))`
  return sql === 'TIMESTAMP' || sql === 'TIMESTAMPTZ' ? `(${bound} + INTERVAL 1 millisecond)` : bound
}
