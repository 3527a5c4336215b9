import type { Claimant, Token } from '../lake/owner.ts'
import type { TableMetadata } from './metadata.ts'

// Whose a table is and how far it is: properties of the table, which a commit sets together with its snapshot.

const names = {
  checkpointId: 'millrace.checkpoint',
  pipeline: 'millrace.pipeline',
  flow: 'millrace.flow',
  term: 'millrace.term',
  epoch: 'millrace.epoch',
} as const

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
