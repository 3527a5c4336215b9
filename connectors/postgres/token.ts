import type { Claimant, Token } from '../lake/owner.ts'
import type { Transaction } from './database.ts'
import { quoted } from './table.ts'

/**
 * Whose a table is: tokens are rows beside the tables, written in the transactions of their rows (P15). The name of the
 * table is its key, so a table has one writer.
 */
export interface TokenOwner {
  readonly schema: string
  readonly table: string
  readonly checkpointId: string
  readonly flow: string
  /** Names the table in errors. */
  readonly address: string
}

/** Where tokens lie: in the schema of the tables. */
export const tokenTable = 'millrace_commits'

const columns = 'checkpoint_id, pipeline, flow, term, epoch'

const nameOf = ({ schema }: Pick<TokenOwner, 'schema'>) => `${quoted(schema)}.${quoted(tokenTable)}`

export function createTokensSql(owner: Pick<TokenOwner, 'schema'>): string {
  return (
    `CREATE TABLE IF NOT EXISTS ${nameOf(owner)} (table_name text PRIMARY KEY, checkpoint_id text NOT NULL, ` +
    'pipeline text NOT NULL, flow text NOT NULL, term bigint NOT NULL, epoch bigint NOT NULL)'
  )
}

export async function areTokensThere(transaction: Transaction, owner: Pick<TokenOwner, 'schema'>): Promise<boolean> {
  const [there] = await transaction.rows('SELECT to_regclass($1) AS found', [nameOf(owner)])
  return there?.found !== null
}

/** Undefined where none is kept of the table. */
export async function readToken(
  transaction: Transaction,
  owner: TokenOwner,
  lock: '' | 'FOR UPDATE' = '',
): Promise<Token | undefined> {
  const sql = `SELECT ${columns} FROM ${nameOf(owner)} WHERE table_name = $1 ${lock}`
  const [row] = await transaction.rows(sql, [owner.table])
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

/** Makes the first one of a table. */
export async function insertToken(transaction: Transaction, owner: TokenOwner, token: Token): Promise<void> {
  const { checkpointId, pipeline, flow, term, epoch } = token
  const sql = `INSERT INTO ${nameOf(owner)} (table_name, ${columns}) VALUES ($1, $2, $3, $4, $5, $6)`
  await transaction.rows(sql, [owner.table, checkpointId, pipeline, flow, term, epoch])
}

/** @param epoch kept where it is absent. Whether the row was this owner's, of no higher term and of an earlier epoch */
export async function moveToken(
  transaction: Transaction,
  owner: TokenOwner,
  term: number,
  epoch?: number,
): Promise<boolean> {
  const moved = await transaction.rows(
    `UPDATE ${nameOf(owner)} SET term = $4, epoch = coalesce($5, epoch)
     WHERE table_name = $1 AND checkpoint_id = $2 AND flow = $3 AND term <= $4 AND ($5::bigint IS NULL OR epoch < $5)
     RETURNING epoch`,
    [owner.table, owner.checkpointId, owner.flow, term, epoch ?? null],
  )
  return moved.length > 0
}

/** The owner as it asks for its table. */
export function claimantOf(owner: TokenOwner): Claimant {
  const row = `row of ${owner.schema}.${tokenTable}`
  return { ...owner, mark: `its ${row}`, release: `delete its ${row}, whose table_name is '${owner.table}'` }
}
