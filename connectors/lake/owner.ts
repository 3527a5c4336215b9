import { MillraceError } from '../../src/core/errors.ts'

/** Whose a table is and how far it is: written in the same step as its rows (P15). */
export interface Token {
  readonly checkpointId: string
  readonly pipeline: string
  readonly flow: string
  readonly term: number
  readonly epoch: number
}

/** Who asks for a table. */
export interface Claimant {
  readonly checkpointId: string
  readonly flow: string
  /** Names the table in errors. */
  readonly address: string
  /** Names where the token lies: 'its row of public.millrace_commits'. */
  readonly mark: string
  /** How a person sets the table free: "delete its row of public.millrace_commits, whose table_name is 'trips'". */
  readonly release: string
}

/** @throws MillraceError `user` where the table is another's, or gone. @returns whether it is taken already */
export function checkOwner(
  { address, checkpointId, flow, mark, release }: Claimant,
  token: Token | undefined,
  isTableThere: boolean,
  isNewCheckpoint: boolean,
): boolean {
  if (token && (token.checkpointId !== checkpointId || token.flow !== flow))
    throw new MillraceError(
      'user',
      'output-owned',
      `${address} belongs to ${token.flow} of pipeline '${token.pipeline}' (checkpoint ${token.checkpointId}), and ` +
        `not to ${flow} of checkpoint ${checkpointId}. Take another table; or, if that one will not run again, ` +
        `${release}.`,
    )
  if (isNewCheckpoint) return token !== undefined
  if (token && isTableThere) return true
  const what = !token && isTableThere ? mark : 'the table'
  throw new MillraceError(
    'user',
    'output-missing',
    `${address}: ${what} is gone, but checkpoint ${checkpointId} has committed rows to it. Bring it back, or begin ` +
      'with a new checkpoint.',
  )
}

/** @throws MillraceError `fenced` where a later process has taken the table */
export function checkTerm({ address }: Pick<Claimant, 'address'>, token: Pick<Token, 'term'>, term: number): void {
  if (token.term > term)
    throw new MillraceError(
      'fenced',
      'fenced',
      `${address} was taken by term ${token.term}; this process has term ${term}.`,
    )
}
