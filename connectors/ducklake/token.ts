import { MillraceError } from '../../src/core/errors.ts'
import { id, text } from '../../src/plan/sql.ts'
import type { CatalogDatabase } from './catalog.ts'
import { literal } from './lake.ts'

/** Whose a table is and how far it is: a row in the catalog, written with the rows of its epochs (P15). */
export interface Token {
  readonly checkpointId: string
  readonly pipeline: string
  readonly flow: string
  readonly term: number
  readonly epoch: number
}

/** Who asks. */
export interface TokenOwner {
  readonly schema: string
  readonly table: string
  readonly checkpointId: string
  readonly flow: string
  /** Names the table in errors. */
  readonly address: string
}

/** Beside the tables of DuckLake, which leaves it alone. */
export const tokenTable = 'millrace_commits'

const nameOf = ({ name }: CatalogDatabase) => `${id(name)}.main.${tokenTable}`
const isOf = ({ schema, table }: Pick<TokenOwner, 'schema' | 'table'>) =>
  `lower(schema_name) = lower(${text(schema)}) AND lower(table_name) = lower(${text(table)})`

/** Undefined where none is kept of the table. */
export async function readToken(database: CatalogDatabase, owner: TokenOwner): Promise<Token | undefined> {
  const [there] = await database.rows(
    `SELECT 1 FROM duckdb_tables() WHERE database_name = ${text(database.name)} AND table_name = ${text(tokenTable)}`,
  )
  if (!there) return undefined
  const [row] = await database.rows(`SELECT * FROM ${nameOf(database)} WHERE ${isOf(owner)}`)
  return (
    row && {
      checkpointId: String(row.checkpoint_id),
      pipeline: String(row.pipeline),
      flow: String(row.flow),
      term: Number(row.term),
      epoch: Number(row.epoch),
    }
  )
}

export async function writeToken(database: CatalogDatabase, owner: TokenOwner, token: Token): Promise<void> {
  const { checkpointId, pipeline, flow, term, epoch } = token
  const values = [owner.schema, owner.table, checkpointId, pipeline, flow, term, epoch].map(literal).join(', ')
  await database.run(
    `CREATE TABLE IF NOT EXISTS ${nameOf(database)} (schema_name VARCHAR, table_name VARCHAR, checkpoint_id VARCHAR, ` +
      'pipeline VARCHAR, flow VARCHAR, term BIGINT, epoch BIGINT)',
  )
  await database.run(`DELETE FROM ${nameOf(database)} WHERE ${isOf(owner)}`)
  await database.run(`INSERT INTO ${nameOf(database)} VALUES (${values})`)
}

/** @throws MillraceError `user` where the table is another's, or gone */
export function checkOwner(
  owner: TokenOwner,
  token: Token | undefined,
  isTableThere: boolean,
  isNewCheckpoint: boolean,
): void {
  const { address, checkpointId, flow, schema, table } = owner
  if (token && (token.checkpointId !== checkpointId || token.flow !== flow))
    throw new MillraceError(
      'user',
      'output-owned',
      `${address} belongs to ${token.flow} of pipeline '${token.pipeline}' (checkpoint ${token.checkpointId}), and ` +
        `not to ${flow} of checkpoint ${checkpointId}. Take another table; or, if that one will not run again, ` +
        `delete its row of ${tokenTable} in the catalog, of schema '${schema}' and table '${table}'.`,
    )
  if (isNewCheckpoint || (token && isTableThere)) return
  const what = token || !isTableThere ? 'the table' : `its row of ${tokenTable}`
  throw new MillraceError(
    'user',
    'output-missing',
    `${address}: ${what} is gone, but checkpoint ${checkpointId} has committed rows to it. Bring it back, or begin ` +
      'with a new checkpoint.',
  )
}

/** @throws MillraceError `fenced` where a later process has taken the table */
export function checkTerm({ address }: TokenOwner, token: Token | undefined, term: number): void {
  if (token && token.term > term)
    throw new MillraceError(
      'fenced',
      'fenced',
      `${address} was taken by term ${token.term}; this process has term ${term}.`,
    )
}
