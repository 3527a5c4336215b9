/** Whether an expression gives a row the same value alone and among other rows (S24). */
import type { TestDuckdb } from './duckdb.ts'

export interface Company {
  /** SQL of a column of this type over `_in`; each type has `columnsEach` of them, with values of their own. */
  column(type: string, at?: number): string
  /** Name to type of the columns that this text reads. */
  read(sql: string): Readonly<Record<string, string>>
  /** For each expression over `_in` how it differs; a text that tells of the first difference, or null. */
  differences(expressions: readonly string[]): Promise<readonly (string | null)[]>
}

export const columnsEach = 3
const rowsAlone = 14
const rowsTogether = 50

/**
 * Rows with a value of every type in each column. They are read as vectors of one row, and repeated in another order in a
 * flat vector, in one from which a filter took rows that may raise, and as constants.
 *
 * @param pools SQL literals by type, from which values are drawn; some are NULL
 */
export async function openCompany(
  db: TestDuckdb,
  pools: Readonly<Record<string, readonly string[]>>,
  random: () => number,
): Promise<Company> {
  const types = Object.keys(pools)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
  const name = (type: string, at: number) => `c${types.indexOf(type)}_${at}`
  const all = types.flatMap(type => Array.from({ length: columnsEach }, (_, at) => ({ type, name: name(type, at) })))
  const typeOf = new Map(all.map(column => [column.name, column.type]))

  const value = (type: string) => (random() < 0.08 ? 'NULL' : pick(pools[type] as readonly string[]))
  const ids = Array.from({ length: rowsAlone }, (_, id) => id)
  for (const id of ids) {
    const items = all.map(column => `CAST(${value(column.type)} AS ${column.type}) AS ${column.name}`)
    await db.run(`CREATE TEMP TABLE alone_${id} AS SELECT ${id} AS id, ${items.join(', ')}`)
  }
  await db.run(`CREATE TEMP TABLE everyone AS ${ids.map(id => `SELECT * FROM alone_${id}`).join(' UNION ALL ')}`)
  for (const together of ['flat', 'filtered']) {
    const order = Array.from({ length: rowsTogether }, (_, n) => `(${n}, ${pick(ids)}, ${random() < 0.3})`)
    await db.run(
      `CREATE TEMP TABLE ${together} AS SELECT gone, everyone.* FROM (VALUES ${order.join(', ')}) AS drawn(n, id, gone) ` +
        'JOIN everyone USING (id) ORDER BY n',
    )
  }

  const relation = (columns: readonly string[]) => {
    const list = ['id', ...columns].join(', ')
    const [flat, filtered] = [`SELECT ${list} FROM flat`, `SELECT ${list} FROM filtered WHERE NOT gone`]
    const constant = `SELECT ${list} FROM everyone, range(3)`
    const together = [flat, filtered, constant].map(sql => `SELECT FALSE AS alone, * FROM (${sql})`)
    return `(${[...ids.map(id => `SELECT TRUE AS alone, ${list} FROM alone_${id}`), ...together].join(' UNION ALL ')})`
  }
  const read = (sql: string) => {
    const names = [...new Set(sql.match(/\bc\d+_\d\b/g) ?? [])]
    return Object.fromEntries(names.map(column => [column, typeOf.get(column) as string]))
  }
  const asText = (sql: string) => `CAST(${sql} AS VARCHAR)`

  type Values = ReadonlyMap<number, unknown>
  type Rows = readonly Readonly<Record<string, unknown>>[]

  const evaluate = (items: readonly string[]) =>
    db.rows(
      `SELECT alone, id, ${items.map((item, index) => `${item} AS v${index}`).join(', ')} ` +
        `FROM ${relation(Object.keys(read(items.join())))} AS _in`,
    )

  /** The values of an expression for the rows by themselves, one after another: where TRY does not keep an error. */
  const valuesAlone = async (sql: string): Promise<Values> => {
    const found = new Map<number, unknown>()
    for (const id of ids) {
      const rows = await db.rows(`SELECT ${asText(sql)} AS v FROM alone_${id} AS _in`).catch(() => [])
      for (const { v } of rows) found.set(id, v)
    }
    return found
  }

  const firstDifference = (rows: Rows, at: string, alone: Values): string | null => {
    const isOther = (row: Rows[number]) => row.alone === false && alone.has(Number(row.id))
    const other = rows.find(row => isOther(row) && row[at] !== alone.get(Number(row.id)))
    if (other === undefined) return null
    const [own, found] = [alone.get(Number(other.id)), other[at]].map(value => JSON.stringify(value)?.slice(0, 200))
    return `row ${String(other.id)} is ${own} alone and ${found} in company`
  }

  /** Rows with a value, chosen by a CASE: nothing is asked of the others, which may raise. */
  const chosen = (sql: string, alone: Values) => {
    const good = [...alone].flatMap(([id, value]) => (value === null ? [] : [id]))
    return {
      item: `CASE WHEN ${good.length > 0 ? `id IN (${good.join(', ')})` : 'FALSE'} THEN ${asText(sql)} END`,
      good: new Map(good.map(id => [id, alone.get(id)])),
    }
  }

  const differencesTogether = async (expressions: readonly string[]): Promise<readonly (string | null)[]> => {
    const tried = await evaluate(expressions.map(sql => `TRY(${asText(sql)})`))
    const alone = expressions.map(
      (_, at) => new Map(tried.filter(row => row.alone === true).map(row => [Number(row.id), row[`v${at}`]])),
    )
    const picked = expressions.map((sql, at) => chosen(sql, alone[at] as Values))
    const plain = await evaluate(picked.map(({ item }) => item))
    return expressions.map(
      (_, at) =>
        firstDifference(tried, `v${at}`, alone[at] as Values) ??
        firstDifference(plain, `v${at}`, (picked[at] as { good: Values }).good),
    )
  }

  /** Of an expression that is an error even under TRY. */
  const differenceOf = async (sql: string): Promise<string | null> => {
    const { item, good } = chosen(sql, await valuesAlone(sql))
    const rows = await evaluate([item]).catch((error: unknown) => String(error))
    if (typeof rows !== 'string') return firstDifference(rows, 'v0', good)
    const isOpen = await db.rows('SELECT 1').catch(() => undefined)
    return isOpen ? `rows that a CASE leaves out raise: ${rows}` : 'it ends the session of DuckDB'
  }

  const differences = async (expressions: readonly string[]): Promise<readonly (string | null)[]> => {
    const together = await differencesTogether(expressions).catch(() => undefined)
    if (together) return together
    const [first] = expressions
    if (first !== undefined && expressions.length === 1) return [await differenceOf(first)]
    const half = Math.ceil(expressions.length / 2)
    return [...(await differences(expressions.slice(0, half))), ...(await differences(expressions.slice(half)))]
  }

  return { column: (type, at = 0) => name(type, at), read, differences }
}
