import { stat } from 'node:fs/promises'
import type { Executor } from '../../src/core/ports.ts'
import { describeColumns, named, rowsLookedAt } from '../../src/plan/file-columns.ts'
import type { FileColumn, InferFormat } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'
import { firstCharacter } from '../text/plain-text.ts'
import { jsonExtensions, objectLines } from './format.ts'

/**
 * DuckDB gives columns whose names differ only by case names of its own: theirs come from the text. What it cannot
 * parse is passed over, and of an object whose fields differ only by case it leaves one out, which is a struct all the
 * same.
 */
export const inferJson: InferFormat = {
  shown: 'JSON',
  extensions: jsonExtensions,
  isContent: async object => ['{', '['].includes((await firstCharacter(object)) ?? ''),
  takesRecords: true,
  async ready(object, records) {
    const ready = await objectLines(object, records === undefined ? undefined : { records })
    if (ready.is === 'bad' || (await stat(ready.file)).size > 0) return ready
    const where = records === undefined ? '' : ` in an array of a field '${records}'`
    return { is: 'empty', expected: `a file with a JSON object${where}` }
  },
  async columns(executor, { file }) {
    const from =
      `read_json(${text(file)}, format = 'newline_delimited', ` +
      `sample_size = ${rowsLookedAt}, ignore_errors = true, hive_partitioning = false)`
    const columns = await withNulls(executor, from, await describeColumns(executor, from))
    const [keys] = await executor.rows(
      `SELECT json_keys(json_group_structure(json)) AS names FROM (FROM read_ndjson_objects(${text(file)}, ` +
        `ignore_errors = true, hive_partitioning = false) LIMIT ${rowsLookedAt})`,
    )
    return named(columns, (keys?.names ?? []) as readonly string[])
  },
}

/** DuckDB takes a field that is always null for JSON, as it does one of several types. */
async function withNulls(
  executor: Executor,
  from: string,
  columns: readonly FileColumn[],
): Promise<readonly FileColumn[]> {
  const open = columns.filter(({ physical }) => physical === 'JSON')
  if (open.length === 0) return columns
  const items = open.map(({ name }, index) => `count(nullif(CAST(${id(name)} AS VARCHAR), 'null')) AS c${index}`)
  const [counts] = await executor.rows(`SELECT ${items.join(', ')} FROM ${from}`)
  return columns.map(column =>
    open.includes(column) && counts?.[`c${open.indexOf(column)}`] === 0n ? { ...column, isNull: true } : column,
  )
}
