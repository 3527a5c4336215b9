import type { Claimant, Token } from '../lake/owner.ts'
import type { Snapshot, TableMetadata } from './metadata.ts'

// Whose a table is and how far it is: properties of the table, which a commit sets together with its snapshot.

const names = {
  checkpointId: 'millrace.checkpoint',
  pipeline: 'millrace.pipeline',
  flow: 'millrace.flow',
  term: 'millrace.term',
  epoch: 'millrace.epoch',
} as const

/** What the summary of a snapshot says of the epoch that it brings. */
export function summaryOf({ checkpointId, epoch }: Pick<Token, 'checkpointId' | 'epoch'>) {
  return tokenProperties({ checkpointId, epoch })
}

/** The epoch that a snapshot of a checkpoint has brought; undefined for somebody else's. */
export function epochOf({ summary }: Pick<Snapshot, 'summary'>, checkpointId: string): number | undefined {
  // Some writers leave it out.
  const told: Partial<Record<string, string>> = (summary as typeof summary | undefined) ?? {}
  return told[names.checkpointId] === checkpointId ? Number(told[names.epoch]) : undefined
}

/** Undefined where nobody has taken the table. */
export function tokenOf({ properties = {} }: Pick<TableMetadata, 'properties'>): Token | undefined {
  const checkpointId = properties[names.checkpointId]
  if (checkpointId === undefined || checkpointId === '') return undefined
  return {
    checkpointId,
    pipeline: properties[names.pipeline] ?? '',
    flow: properties[names.flow] ?? '',
    term: Number(properties[names.term] ?? 0),
    epoch: Number(properties[names.epoch] ?? 0),
  }
}

export function tokenProperties(token: Partial<Token>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(token).map(([field, value]) => [names[field as keyof Token], String(value)]))
}

export function claimantOf(owner: Pick<Claimant, 'address' | 'checkpointId' | 'flow'>): Claimant {
  return {
    ...owner,
    mark: `its property ${names.checkpointId}`,
    release: `set its property ${names.checkpointId} to ''`,
  }
}
