import { randomUUID } from 'node:crypto'
import { isInHead } from '../../../checkpoints/manifest.ts'
import { headKey } from '../../../checkpoints/paths.ts'
import type { Manifest } from '../../../checkpoints/types.ts'
import type { Executor } from '../../core/ports.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { type StoredPlan, storedPlan, writtenOptions } from '../../plan/stored-plan.ts'
import { beginning } from '../../plan/watermark.ts'
import { components } from '../components.ts'
import { openSession } from '../duckdb/session.ts'
import { waitingIn } from '../publish/lane.ts'
import { type BadRows, badRowsIn } from '../read/bad-row.ts'
import type { LateRows } from '../report/events.ts'
import type { WaitingRows } from '../report/lags.ts'
import type { MeasuredState } from '../report/running.ts'
import type { Inspection, SetAside } from '../report/summary.ts'
import { type ChannelReader, eachPart } from '../state/channels.ts'
import { watermarksOf } from '../state/engine-state.ts'
import { type HeldRows, heldIn } from '../state/held.ts'
import { ledgerRowsSql, watermarkFrom } from '../state/ledger.ts'
import { outputsOf, readCheckpoint } from '../state/read-checkpoint.ts'
import { totalsOf } from '../state/totals.ts'
import { setAsideNow } from './set-aside-now.ts'
import { storedStates } from './stored-states.ts'

/** What a page tells of a checkpoint without its process. Nothing in it is a value of a row. */
export interface CheckpointReport
  extends Pick<Inspection, 'checkpoint' | 'pipeline' | 'term' | 'epoch' | 'owner' | 'released' | 'totals'> {
  readonly plan: StoredPlan
  readonly size: { readonly headBytes: number | null; readonly bytes: number; readonly files: number }
  /** When HEAD was written, by a commit or as a sign of life, in ms since 1970; null where it has just gone. */
  readonly headWrittenMs: number | null
  readonly sources: readonly ReportedSource[]
  readonly states: readonly MeasuredState[]
  readonly sinks: readonly ReportedSink[]
  /** By why they are. Each reason may be there several times. */
  readonly lateRows: readonly LateRows[]
  readonly badRows: readonly BadRows[]
  readonly setAside: readonly SetAside[]
}

/** What the ledger holds of a source. */
export interface ReportedSource {
  readonly source: string
  /** Event times, microseconds since 1970; null before the first, and where the source has none. */
  readonly watermarkUs: bigint | null
  readonly highMarkUs: bigint | null
  /** Objects that were read, and their rows. */
  readonly objects: number
  readonly rows: number
}

/** What has not come to the end of a flow. */
export interface ReportedSink extends WaitingRows {
  /** Where its results went at the last commit; empty where they go to somebody's code. */
  readonly address: string
  readonly held: Pick<HeldRows, 'rows' | 'sinceMs'> | null
}

/**
 * Reads a checkpoint without claiming it: safe beside a running owner. @throws MillraceError `user` when there is none.
 */
export async function checkpointReport(address: string): Promise<CheckpointReport> {
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const {
      checkpoint,
      head,
      address: shown,
      store,
    } = await readCheckpoint(components, address, 'checkpoint', session.stage)
    const { manifest, term, owner, released } = head
    const reader = { checkpoint, manifest, stage: session.stage, newId: randomUUID }
    const headFile = await store.get(headKey)
    const written = typeof headFile === 'object' ? headFile : null
    const parts = Object.values(manifest.channels).flat()
    const plan = storedPlan(manifest.engine.plan)
    return {
      checkpoint: shown,
      pipeline: plan.pipeline,
      term,
      epoch: manifest.epoch,
      owner,
      released,
      totals: totalsOf(manifest),
      plan,
      size: {
        headBytes: written?.sizeBytes ?? null,
        bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
        files: parts.filter(part => !isInHead(part)).length,
      },
      headWrittenMs: written?.lastModifiedMs ?? null,
      sources: await reportedSources(plan, reader, executor),
      states: await storedStates(reader, executor),
      sinks: reportedSinks(plan, manifest),
      lateRows: await lateRows(reader, executor),
      badRows: await badRows(reader, executor),
      setAside: await setAsideNow(reader, executor),
    }
  } finally {
    await session.close()
  }
}

async function reportedSources(
  { nodes }: StoredPlan,
  reader: ChannelReader,
  executor: Executor,
): Promise<readonly ReportedSource[]> {
  const read = new Map<string, { objects: number; rows: number }>()
  await eachPart(reader, executor, 'ledger', async rows => {
    const counted = await executor.rows(
      `SELECT source, count(*) AS objects, sum(rows)::BIGINT AS rows FROM (${ledgerRowsSql(rows)}) ` +
        `WHERE "is" = 'object' AND outcome = 'read' GROUP BY source`,
    )
    for (const { source, objects, rows: some } of counted) {
      const before = read.get(String(source))
      read.set(String(source), {
        objects: (before?.objects ?? 0) + Number(objects),
        rows: (before?.rows ?? 0) + Number(some),
      })
    }
  })
  const marks = watermarksOf(reader.manifest)
  return nodes.flatMap(node => {
    if (node.op !== 'source') return []
    const { name, time } = writtenOptions(node) as unknown as SourceSettings
    const mark = marks[name]
    // A source without event time has none, and never will.
    const { watermarkUs, highMarkUs } = time === undefined || mark === undefined ? beginning : watermarkFrom(mark)
    return [{ source: name, watermarkUs, highMarkUs, ...(read.get(name) ?? { objects: 0, rows: 0 }) }]
  })
}

function reportedSinks({ flows }: StoredPlan, manifest: Manifest): readonly ReportedSink[] {
  const addresses = outputsOf(manifest)
  const waiting = waitingIn(manifest.unpublished)
  const held = heldIn(manifest)
  return Object.keys(flows).map(flow => ({
    ...(waiting.find(found => found.flow === flow) ?? { flow, epochs: 0, rows: 0, bytes: 0 }),
    address: addresses[flow] ?? '',
    held: held.find(found => found.flow === flow) ?? null,
  }))
}

/** Late rows by why they are, of each step by itself. Rows of a result have no object. */
async function lateRows(reader: ChannelReader, executor: Executor): Promise<readonly LateRows[]> {
  const found: LateRows[] = []
  for (const channel of Object.keys(reader.manifest.channels).filter(name => name.startsWith('late-')))
    await eachPart(reader, executor, channel, async part => {
      const rows = await executor.rows(
        'SELECT _reason AS reason, count(*) AS n, arg_min(_object, (_seq, _row)) AS object ' +
          `FROM ${part} GROUP BY _reason ORDER BY _reason`,
      )
      found.push(
        ...rows.map(row => ({
          reason: String(row.reason),
          rows: Number(row.n),
          object: typeof row.object === 'string' ? row.object : null,
        })),
      )
    })
  return found
}

async function badRows(reader: ChannelReader, executor: Executor): Promise<readonly BadRows[]> {
  const found: BadRows[] = []
  await eachPart(reader, executor, 'quarantine', async part => {
    found.push(...(await badRowsIn(executor, `FROM ${part}`)))
  })
  return found
}
