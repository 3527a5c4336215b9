import { MillraceError } from '../../core/errors.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import { text } from '../../plan/sql.ts'
import { badRowText, firstBadRow } from './bad-row.ts'
import type { FetchContext } from './marked-object.ts'
import type { ReadColumn } from './read-column.ts'
import { type RowTests, timeOf } from './row-tests.ts'

/** An object's rows that are not good, and what of each is told. */
export interface Aside {
  readonly context: FetchContext
  readonly version: ObjectVersion
  /** SQL of its rows as they are bound, good and bad. */
  readonly rows: string
  readonly columns: readonly ReadColumn[]
  readonly tests: RowTests
  /** SQL over them: the text of a row that cannot be parsed. */
  readonly brokenSql: string
}

/** SQL of the rows set aside, one a row and column. */
export function setAsideSql(aside: Aside, seq: number | null): string {
  const { version, rows, tests } = aside
  // One look at the rows, however many columns there are.
  const faulty =
    `SELECT _row, unnest([${faultsOf(aside).join(', ')}]) AS _fault ` +
    `FROM (${rows}) WHERE ${tests.bad} OR ${tests.timeless}`
  const items = [
    `CAST(${seq ?? 'NULL'} AS BIGINT) AS _seq`,
    '_row',
    `${text(version.key)} AS object`,
    `${text(version.eTag)} AS e_tag`,
    '_fault."column" AS "column"',
    '_fault.expected AS expected',
    '_fault.found AS found',
  ]
  return `SELECT ${items.join(', ')} FROM (${faulty}) WHERE _fault IS NOT NULL`
}

/** What may be wrong with a row: each NULL, or a struct that tells it. */
function faultsOf({ context: { settings, format }, columns, tests, brokenSql }: Aside): readonly string[] {
  const fault = (predicate: string, column: string, expected: string, found: string) =>
    `CASE WHEN ${predicate} THEN ` +
    `{'column': ${text(column)}, 'expected': ${expected}, 'found': left(${found}, 1000)} END`
  const time = timeOf(columns, settings)
  return [
    fault('_broken', '', format.rowIsSql ?? text(format.rowIs), brokenSql),
    ...columns.flatMap(({ name, type, shown, bad: misfit }) =>
      misfit === null
        ? []
        : [fault(`NOT _broken AND ${misfit}`, name, text(`${type.sql}${type.nullable ? '' : ' NOT NULL'}`), shown)],
    ),
    ...(time
      ? [
          fault(
            `NOT ${tests.bad} AND ${tests.timeless}`,
            time.name,
            text('an event time, neither NULL nor infinite nor more than 146,000 years from 1970'),
            time.shown,
          ),
        ]
      : []),
  ]
}

/** The text of broken rows that are quoted in a record; those beyond have their number only. */
const brokenMax = 1_000

/** SQL over `_row`: the text of a row that cannot be parsed, NULL where the format cannot tell. */
export async function brokenText({ executor, format }: FetchContext, file: string, scan: string): Promise<string> {
  if (format.brokenSql !== undefined) return format.brokenSql
  if (!format.brokenText) return 'NULL'
  const rows = await executor.rows(`SELECT _row FROM (${scan}) WHERE _broken ORDER BY _row LIMIT ${brokenMax}`)
  if (rows.length === 0) return 'NULL'
  const found = await format.brokenText(
    file,
    rows.map(({ _row }) => Number(_row)),
  )
  return `CASE _row ${[...found].map(([row, line]) => `WHEN ${row} THEN ${text(line)}`).join(' ')} END`
}

/** Why the run stops for these rows: the first of them. @param count how many do not fit */
export async function badRowError(aside: Aside, count: number): Promise<MillraceError> {
  const { context, version } = aside
  const first = badRowText(await firstBadRow(context.executor, setAsideSql(aside, null), context.signal))
  return new MillraceError(
    'fatal',
    'bad-row',
    `source ${context.settings.name}: object '${version.key}', ${first}. ` +
      `${count} such row${count === 1 ? '' : 's'} in this object; nothing of it was counted. ` +
      "Correct the object, declare another type, or set onBadRow: 'quarantine' to set such rows aside.",
  )
}
