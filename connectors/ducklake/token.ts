import { id, text } from '../../src/plan/sql.ts'
import type { Claimant, Token } from '../lake/owner.ts'
import type { CatalogDatabase } from './catalog.ts'
import { literal } from './lake.ts'

/** Who asks. Its token is a row in the catalog, written with the rows of its epochs (P15). */
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

/** The owner as it asks for its table. */
export function claimantOf(owner: TokenOwner): Claimant {
  return {
    ...owner,
    mark: `its row of ${tokenTable}`,
    release: `delete its row of ${tokenTable} in the catalog, of schema '${owner.schema}' and table '${owner.table}'`,
  }
}
