import type { Executor, SqlRow } from '../../core/ports.ts'
import type { ClockShape } from '../../plan/clock.ts'
import { afterEntry, type ClockedEntry, type Delays } from '../fold/stamp.ts'
import type { Closing, MarkedBy } from '../report/why.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import { markOf } from '../state/ledger.ts'

/** A watermark of a stage, and when it was reached is asked for. */
export interface Awaited {
  readonly stage: string
  readonly us: bigint
}

/** How the watermarks came to where they are. */
export interface ClockHistory {
  /** By source: the entry that its watermark comes from. */
  readonly by: ReadonlyMap<string, MarkedBy & { readonly seq: number }>
  /** When each of those that are awaited was reached, in their order; undefined where it was not. */
  readonly closings: readonly (Closing | undefined)[]
  /** By number of an entry that is asked for: what the ledger had come to before it. */
  readonly before: ReadonlyMap<number, LedgerPosition>
}

/** What is asked of a ledger's past. */
export interface AskedHistory {
  readonly awaited: readonly Awaited[]
  /** Numbers of entries. */
  readonly before?: Iterable<number>
}

/** Entries that are looked at together. */
const entriesAtOnce = 50_000

/** Goes through a ledger as a run has, entry after entry (S2, S4, S6, S13). @param stages those before others first */
export async function clockHistory(
  executor: Executor,
  ledger: string,
  sources: readonly string[],
  delays: Delays,
  stages: readonly ClockShape[],
  { awaited, before: numbers = [] }: AskedHistory,
): Promise<ClockHistory> {
  const by = new Map<string, MarkedBy & { readonly seq: number }>()
  const closings: (Closing | undefined)[] = awaited.map(() => undefined)
  const before = new Map<number, LedgerPosition>()
  const asked = new Set(numbers)
  const none = Object.fromEntries(sources.map(name => [name, { watermarkUs: null, highMarkUs: null }]))
  let position: LedgerPosition = { nextSeq: 1, sources: none, clocks: {}, lookups: {} }
  for (let from = 0; ; ) {
    const rows = await executor.rows(`SELECT * FROM ${ledger} WHERE seq > ${from} ORDER BY seq LIMIT ${entriesAtOnce}`)
    for (const row of rows) {
      const seq = Number(row.seq)
      const entry = entryOf(row)
      position = { ...position, nextSeq: seq }
      if (asked.has(seq)) before.set(seq, position)
      const next = { ...afterEntry(position, entry, delays, stages), nextSeq: seq + 1 }
      for (const source of sources)
        if (next.sources[source]?.watermarkUs !== position.sources[source]?.watermarkUs)
          by.set(source, { ...markedBy(row), seq })
      for (const [index, { stage, us }] of awaited.entries()) {
        const clockUs = next.clocks[stage] ?? null
        if (closings[index] === undefined && clockUs !== null && clockUs >= us)
          closings[index] = { epoch: Number(row.epoch), watermarkUs: clockUs, by: closedBy(row) }
      }
      position = next
    }
    if (rows.length < entriesAtOnce) return { by, closings, before }
    from = Number(rows.at(-1)?.seq)
  }
}

function entryOf(row: SqlRow): ClockedEntry {
  if (row.is !== 'object') return markOf(row)
  return { is: 'object', source: String(row.source), highMarkUs: row.high_mark_us as bigint | null }
}

function markedBy(row: SqlRow): MarkedBy {
  if (row.is === 'tick') return { is: 'tick' }
  if (row.is !== 'object') return { is: 'flush' }
  return { is: 'object', key: String(row.key), highMarkUs: row.high_mark_us as bigint }
}

function closedBy(row: SqlRow): Closing['by'] {
  if (row.is === 'object') return { is: 'object', source: String(row.source), key: String(row.key) }
  return row.is === 'tick' ? { is: 'tick', source: String(row.source) } : { is: 'flush' }
}
