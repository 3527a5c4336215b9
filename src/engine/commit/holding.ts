import { rm } from 'node:fs/promises'
import { addPart, dropParts } from '../../../checkpoints/manifest.ts'
import type { Manifest } from '../../../checkpoints/types.ts'
import { type Clock, wallMs, wholeWallMs } from '../../core/clock.ts'
import { toError } from '../../core/errors.ts'
import type { WrittenFile } from '../../core/ports.ts'
import { plainTypes } from '../../plan/relation.ts'
import { endColumns } from '../../plan/updates.ts'
import { id } from '../../plan/sql.ts'
import type { Flow } from '../../plan/stages.ts'
import { type FreshRows, freshSql, ownColumns, writeHeld } from '../fold/held-files.ts'
import { type HeldTable, keepRows, removeFiles, stageRows } from '../fold/work.ts'
import type { Output } from '../publish/output.ts'
import { outputAddress } from '../publish/outputs.ts'
import type { Publisher } from '../publish/publisher.ts'
import type { RunEvent } from '../report/events.ts'
import {
  heldChannel,
  heldFlows,
  heldFrom,
  heldOrder,
  heldParts,
  heldRecord,
  heldUntilMs,
  rowsIn,
  withHeldRecord,
} from '../state/held.ts'
import type { ManifestWriter } from './manifest-writer.ts'
import { type PublishedFile, recordOutputs, type Staged, type StageContext, stageOutput } from './stage-output.ts'

/** Files may be so much smaller than they were to be: how much rows take shows only when they are written. */
const targetShare = 0.8

/** Few files: committed rows wait in the checkpoint for those of later epochs, as `hold` of their sinks says. */
export interface Holding {
  /**
   * The manifest with an epoch's rows among those that wait, and with what has waited long enough, or is worth a file,
   * as files that are staged. One commit makes both true, so that no row waits and is published.
   *
   * @param isLast nothing waits any longer
   */
  take(next: Manifest, tables: readonly HeldTable[], isLast: boolean): Promise<Staged>
  /** Whether rows of the manifest are to be published before another epoch comes. */
  isDue(manifest: Manifest, isLast: boolean): boolean
  /** Whether rows wait of a flow whose sink holds none any more: they come before those of another epoch. */
  isLeft(manifest: Manifest): boolean
  /** When something has waited long enough, in ms since 1970; undefined where nothing waits. */
  untilMs(manifest: Manifest): number | undefined
}

export interface HoldingContext extends StageContext {
  readonly clock: Clock
}

export function createHolding(run: HoldingContext): Holding {
  const untilMs = (manifest: Manifest): number | undefined => {
    const due = heldFlows(manifest).map(name =>
      heldUntilMs(heldRecord(manifest, name), outputOf(run, name).hold, wholeWallMs(run.clock)),
    )
    return due.length === 0 ? undefined : Math.min(...due)
  }

  return {
    async take(manifest, tables, isLast) {
      const fresh = await freshRows(run, manifest, tables)
      const published: PublishedFile[] = []
      let next = manifest
      for (const name of [...new Set([...heldFlows(manifest), ...fresh.keys()])].toSorted()) {
        const taken = await takeFlow(run, next, name, fresh.get(name), isLast)
        next = taken.next
        published.push(...taken.published)
      }
      return { next, published }
    },
    isDue(manifest, isLast) {
      const atMs = untilMs(manifest)
      return atMs !== undefined && (isLast || atMs <= wholeWallMs(run.clock))
    },
    isLeft: manifest => heldFlows(manifest).some(name => outputOf(run, name).hold === undefined),
    untilMs,
  }
}

function outputOf(run: HoldingContext, name: string): Output {
  const output = run.outputs.get(name)
  if (!output) throw new Error(`unreachable: ${name} holds rows and is no flow`)
  return output
}

function flowOf(run: HoldingContext, name: string) {
  const { terminal } = run.commit.flows.find(flow => flow.name === name) as Flow
  if (terminal.is !== 'sink') throw new Error(`unreachable: ${name} holds rows and has no sink`)
  return { name, sink: terminal.sink, columns: plainTypes(endColumns(terminal)) }
}

async function takeFlow(
  run: HoldingContext,
  next: Manifest,
  name: string,
  fresh: (FreshRows & { readonly rows: number }) | undefined,
  isLast: boolean,
): Promise<Staged> {
  const { hold } = outputOf(run, name)
  const parts = heldParts(next, name)
  const rows = rowsIn(parts) + (fresh?.rows ?? 0)
  const record = heldRecord(next, name)
  const nowMs = wholeWallMs(run.clock)
  const isDue = isLast || hold === undefined || (parts.length > 0 && heldUntilMs(record, hold, nowMs) <= nowMs)
  const { bytesPerRow } = record
  if (!isDue && bytesPerRow !== null && rows * bytesPerRow < hold.bytes) return keep(run, next, name, fresh)
  const files = await writeHeld({ ...run.commit, checkpoint: run.claim.checkpoint }, flowOf(run, name), parts, fresh)
  try {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    const measured = withHeldRecord(next, name, { ...record, bytesPerRow: bytes / rows })
    if (!isDue && bytes < hold.bytes * targetShare) return await keep(run, measured, name, fresh)
    return await publish(run, measured, name, files)
  } finally {
    for (const { file } of files) await rm(file, { force: true })
  }
}

function publish(run: HoldingContext, next: Manifest, name: string, files: readonly WrittenFile[]): Promise<Staged> {
  // No file of the flow has this epoch in its name: nothing would have waited after it.
  const epochs = { from: heldFrom(next, name) ?? next.epoch, to: next.epoch }
  const dropped = dropParts(next, heldChannel(name), () => true)
  const record = { ...heldRecord(next, name), sinceMs: null }
  return stageOutput(run, outputOf(run, name), files, withHeldRecord(dropped, name, record), epochs)
}

async function keep(
  run: HoldingContext,
  next: Manifest,
  name: string,
  fresh: (FreshRows & { readonly rows: number }) | undefined,
): Promise<Staged> {
  if (!fresh) return { next, published: [] }
  const channel = heldChannel(name)
  const sql = freshSql(fresh, ownColumns(flowOf(run, name).columns).map(id))
  const kept = await keepRows(run.commit, sql, heldOrder, fresh.rows)
  const ref = await stageRows(run.claim.checkpoint, channel, kept, next)
  await removeFiles([{ channel, kept }], [])
  const record = heldRecord(next, name)
  const since = withHeldRecord(next, name, { ...record, sinceMs: record.sinceMs ?? wholeWallMs(run.clock) })
  return { next: addPart(since, channel, { ...ref, epochs: [fresh.epoch, fresh.epoch] }), published: [] }
}

async function freshRows(run: HoldingContext, next: Manifest, tables: readonly HeldTable[]) {
  const fresh = new Map<string, FreshRows & { readonly rows: number }>()
  for (const { flow, table } of tables) {
    const [count] = await run.commit.executor.rows(`SELECT count(*) AS n FROM ${table}`)
    const rows = Number(count?.n)
    if (rows > 0) fresh.set(flow.name, { table, epoch: next.epoch, rows })
  }
  return fresh
}

/** A timer cannot be set for longer: then it is set again. */
const sleepMaxMs = 3_600_000

/** Publishes what waits, beside the epochs: in a quiet hour, when it has waited long enough, and at the end. */
export interface HeldPublisher {
  /** Sets the timer anew, for what HEAD holds now. */
  wait(): void
  /** Those rows of which nothing is held any more, before the next epoch has others. */
  publishLeft(): Promise<void>
  /** All that waits; the timer is over. */
  publishAll(): Promise<void>
  /** After what it has begun. */
  stop(): Promise<void>
}

export interface HeldPublisherContext extends HoldingContext {
  readonly head: Pick<ManifestWriter, 'manifest' | 'amend'>
  readonly publisher: Pick<Publisher, 'begin' | 'fits' | 'record'>
  readonly holding: Holding
  onEvent(event: RunEvent): void
  /** Stops the run with this error. */
  stop(error: Error): void
}

export function createHeldPublisher(context: HeldPublisherContext): HeldPublisher {
  const { clock, head, publisher, holding } = context
  let sleeping = new AbortController()
  let working: Promise<void> = Promise.resolve()
  let isStopped = false

  async function publish(isLast: boolean): Promise<void> {
    let published: readonly PublishedFile[] = []
    await head.amend(async before => {
      if (!holding.isDue(before, isLast)) return before
      await publisher.fits()
      const taken = await holding.take(publisher.record(before), [], isLast)
      published = taken.published
      return recordOutputs(context, taken.next, published)
    })
    publisher.begin(head.manifest)
    wait()
    if (published.length > 0) context.onEvent(heldWritten(context, published))
  }

  async function ring(atMs: number, signal: AbortSignal): Promise<void> {
    const inMs = atMs - wallMs(clock)
    await clock.sleep(Math.min(Math.max(inMs, 0), sleepMaxMs), signal)
    if (signal.aborted) return
    try {
      await publish(false)
    } catch (error) {
      if (!isStopped) context.stop(toError(error))
    }
  }

  function wait(): void {
    sleeping.abort()
    const atMs = holding.untilMs(head.manifest)
    if (atMs === undefined || isStopped) return
    sleeping = new AbortController()
    working = Promise.all([working, ring(atMs, sleeping.signal)]).then(() => {})
  }

  async function stop(): Promise<void> {
    isStopped = true
    sleeping.abort()
    await working
  }

  return {
    wait,
    async publishLeft() {
      if (holding.isLeft(head.manifest)) await publish(false)
    },
    async publishAll() {
      await stop()
      await publish(true)
    },
    stop,
  }
}

function heldWritten({ outputs }: StageContext, published: readonly PublishedFile[]): RunEvent {
  const sum = (of: 'rows' | 'bytes') => published.reduce((total, { file }) => total + file[of], 0)
  const outputFiles = published.map(({ output, key }) => outputAddress(outputs, output, key))
  return { is: 'held-written', outputFiles, rows: sum('rows'), bytes: sum('bytes') }
}
