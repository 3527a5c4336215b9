import { type Claimant, checkOwner, checkTerm, type Token } from '../lake/owner.ts'
import type { Snapshot } from './actions.ts'

/** Who writes a table: properties of it say so. */
export interface TableOwner extends Claimant {
  readonly pipeline: string
}

const property = { checkpoint: 'millrace.checkpoint', flow: 'millrace.flow', pipeline: 'millrace.pipeline' } as const

export function tableOwner(owner: Omit<TableOwner, 'mark' | 'release'>): TableOwner {
  return {
    ...owner,
    mark: `its property ${property.checkpoint}`,
    release: `take the property ${property.checkpoint} from the table`,
  }
}

export function markOf({ checkpointId, flow, pipeline }: TableOwner): Readonly<Record<string, string>> {
  return { [property.checkpoint]: checkpointId, [property.flow]: flow, [property.pipeline]: pipeline }
}

/** The application of its epochs: the number of its last transaction is that of the last epoch that is there (P15). */
export const epochApp = ({ checkpointId, flow }: Pick<Token, 'checkpointId' | 'flow'>): string =>
  `millrace/${checkpointId}/${flow}`

/** The application of its terms: an entry of the log that a lower one would put next is then taken (I3). */
export const termApp = (owner: Pick<Token, 'checkpointId' | 'flow'>): string => `${epochApp(owner)}/term`

/** Undefined where the table is nobody's. */
function tokenOf({ metadata, txns }: Snapshot): Token | undefined {
  const {
    [property.checkpoint]: checkpointId,
    [property.flow]: flow = '',
    [property.pipeline]: pipeline = '',
  } = metadata.configuration ?? {}
  if (checkpointId === undefined) return undefined
  const last = (app: string) => txns.get(app) ?? 0
  const of = { checkpointId, flow }
  return { ...of, pipeline, term: last(termApp(of)), epoch: last(epochApp(of)) }
}

/** @throws MillraceError `user` where the table is another's, or gone. @returns whether it is taken already */
export function isTakenBy(owner: TableOwner, table: Snapshot | undefined, isNewCheckpoint: boolean): boolean {
  return checkOwner(owner, table && tokenOf(table), table !== undefined, isNewCheckpoint)
}

/** @throws MillraceError `fenced` where a later process has taken the table */
export function fence(owner: TableOwner, table: Snapshot, term: number): void {
  checkTerm(owner, { term: tokenOf(table)?.term ?? 0 }, term)
}

/** The last epoch that is there. */
export function epochOf(table: Snapshot): number {
  return tokenOf(table)?.epoch ?? 0
}
