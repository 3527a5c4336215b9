import { quarantineRelation } from '../../plan/aside.ts'
import type { Relation } from '../../plan/relation.ts'
import type { Leaf } from '../../plan/stages.ts'
import { type BadRow, type BadRows, badRowsIn, firstBadRow } from '../read/bad-row.ts'
import type { StampedObject } from '../state/ledger.ts'
import type { EpochContext, Work } from './work.ts'

/** Rows that the objects of an epoch have set aside. */
export interface SetAsideRows {
  readonly table: string
  readonly first: BadRow
  /** How many there are by why. */
  readonly reasons: readonly BadRows[]
}

/** Writes the rows that objects have set aside to their channel. */
export async function writeSetAside(
  { executor }: EpochContext,
  work: Work,
  read: readonly StampedObject[],
): Promise<SetAsideRows | undefined> {
  const aside = read.flatMap(({ marked, seq }) => (marked.setAside ? [marked.setAside(seq)] : []))
  if (aside.length === 0) return undefined
  const table = await work.table(aside.join(' UNION ALL '))
  const [count] = await executor.rows(`SELECT count(*) AS n FROM ${table}`)
  const kept = await work.keep(`SELECT * FROM ${table}`, ['_seq', '_row', 'column'], Number(count?.n))
  work.channels.push({ channel: 'quarantine', kept })
  const rows = `FROM ${table}`
  return { table, first: await firstBadRow(executor, rows), reasons: await badRowsIn(executor, rows) }
}

/** What a source has set aside of these objects, as a flow begins with it. @param table that `writeSetAside` gave */
export function quarantinedRows(
  objects: readonly StampedObject[],
  table: string | undefined,
  { source, node }: Extract<Leaf, { readonly is: 'quarantine' }>,
): Relation | undefined {
  const own = objects.filter(({ marked }) => marked.source === source)
  const whole = own.filter(({ marked }) => marked.outcome === 'quarantined')
  return quarantineRelation(node, source, {
    table,
    seqs: own.flatMap(({ marked, seq }) => (marked.setAside ? [seq] : [])),
    objects: whole.map(({ marked: { version, reason }, seq }) => ({
      seq,
      object: version.key,
      eTag: version.eTag,
      reason: reason ?? '',
    })),
  })
}
