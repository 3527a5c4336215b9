import type { Executor, SqlRow } from '../../src/core/ports.ts'
import { id, text } from '../../src/plan/sql.ts'

/** A column of a table in a lake: its name, and its type in DuckDB. */
export interface LakeColumn {
  readonly name: string
  /** 'DECIMAL(18,2)' */
  readonly sql: string
}

/** What a data file's footer tells of a column. */
export interface ColumnStatistics {
  /** Bounds, as DuckDB writes a value of the type; absent where there is none, and where they are not known. */
  readonly min?: string
  readonly max?: string
  /** Absent: not known. */
  readonly nulls?: number
}

export interface FileStatistics {
  readonly rows: number
  readonly columns: Readonly<Record<string, ColumnStatistics>>
}

/** Types whose bounds a footer tells in a form that can be read back. */
const boundedTypes = /^(TINYINT|SMALLINT|INTEGER|BIGINT|FLOAT|DOUBLE|DECIMAL\(.*\)|VARCHAR|DATE|TIMESTAMP|TIMESTAMPTZ)$/

export const isBounded = (sql: string): boolean => boundedTypes.test(sql)

/**
 * Statistics of a local Parquet file that DuckDB wrote, from its footer: of all row groups together. A column with NaN
 * has no bounds.
 */
export async function fileStatistics(
  executor: Executor,
  file: string,
  columns: readonly LakeColumn[],
): Promise<FileStatistics> {
  const footer = `(SELECT * FROM parquet_metadata(${text(file)}))`
  const items = columns.flatMap(({ name, sql }, index) => {
    const own = `FILTER (path_in_schema = ${text(name)})`
    // A row group that tells no bound may hold anything, unless all that it holds is NULL.
    const isSilent = (bound: string) => `stats_${bound}_value IS NULL AND stats_null_count IS DISTINCT FROM num_values`
    // Cast in its own branch: the bounds of other columns are no values of this type.
    const mine = (bound: string) => `CASE WHEN path_in_schema = ${text(name)} THEN stats_${bound}_value END`
    const value = (bound: 'min' | 'max') =>
      `CASE WHEN bool_or(${isSilent(bound)}) ${own} THEN NULL ` +
      `ELSE CAST(${bound}(CAST(${mine(bound)} AS ${sql})) AS VARCHAR) END AS ${bound}_${index}`
    const nulls =
      `CASE WHEN bool_and(stats_null_count IS NOT NULL) ${own} ` +
      `THEN sum(stats_null_count) ${own} END::BIGINT AS nulls_${index}`
    return isBounded(sql) ? [value('min'), value('max'), nulls] : [nulls]
  })
  const rows = `(SELECT num_rows FROM parquet_file_metadata(${text(file)})) AS ${id('rows')}`
  const [found = {}] = await executor.rows(`SELECT ${[rows, ...items].join(', ')} FROM ${footer}`)
  return {
    rows: Number(found.rows),
    columns: Object.fromEntries(columns.map(({ name }, index) => [name, statisticsOf(found, index)])),
  }
}

function statisticsOf(found: SqlRow, index: number): ColumnStatistics {
  // Bounds are texts here, or NULL; those of other types were not asked for.
  const [min, max] = ['min', 'max'].map(bound => found[`${bound}_${index}`] as string | null | undefined)
  const nulls = found[`nulls_${index}`]
  return {
    ...(typeof min === 'string' && { min }),
    ...(typeof max === 'string' && { max }),
    ...(typeof nulls === 'bigint' && { nulls: Number(nulls) }),
  }
}
