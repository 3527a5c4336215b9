import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type CheckpointStore, type CommitOutcome, createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { addPart, dropParts, dropPublished } from '../../checkpoints/manifest.ts'
import { createOutbox, type Outbox } from '../../checkpoints/outbox.ts'
import type { Manifest, Unpublished } from '../../checkpoints/types.ts'
import { parseInput } from '../../connectors/directory/listing.ts'
import { systemClock } from '../core/clock.ts'
import { configError, isMillraceError, MillraceError } from '../core/errors.ts'
import type { ObjectVersion } from '../core/object-version.ts'
import type { Executor, ObjectStore } from '../core/ports.ts'
import { bindFlows } from '../plan/bind.ts'
import { createGate } from '../plan/gate.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { text } from '../plan/sql.ts'
import { type Flow, type StatefulNode, statefulNodes } from '../plan/stages.ts'
import { advance } from '../plan/watermark.ts'
import { type Admitted, admit, type Listing } from './admit.ts'
import { formats, openStore, openWritableStore } from './components.ts'
import { createExecutor } from './duckdb/executor.ts'
import { openSession, type Session } from './duckdb/session.ts'
import {
  applyEpoch,
  type ChannelFile,
  computePartials,
  diagnose,
  dropTables,
  type EpochContext,
  type Partials,
  tableRows,
} from './epoch.ts'
import { badObject, createFetch, type Fetch, type MarkedObject, reasonOf } from './fetch.ts'
import { type Flows, pipelinePlan, subscribeFlows } from './flows.ts'
import { flushRow, isFlushDue, type LedgerRow, ledgerSql, objectRow } from './ledger.ts'
import { checkPlan, engineState, initialState, loadState, positionOf } from './recover.ts'
import { type LedgerPosition, type Stamped, stamp } from './stamp.ts'
import { adopt, flushWatermark, partialsSql } from './state.ts'
import type { BackfillOptions, EpochResult, FarAhead, SetAside, Summary, Totals } from './summary.ts'

/** Mini-batches whose fetch, marks and first partials run ahead of the commit, the one in commit included. */
const aheadMax = 2
/** Objects fetched at once. DuckDB's own threads do the work; these overlap waiting. */
const fetchesMax = 4
/** Garbage is collected when this much has gathered, and at the end. */
const garbageMax = 64

/**
 * Runs a pipeline over the objects of its source that its checkpoint has not counted yet, commits each mini-batch as
 * an epoch, and ends with a flush. Run again, it continues.
 *
 * @throws MillraceError `user` before anything is read when pipeline or options are wrong; `fenced` when another
 * process claimed the checkpoint; `fatal` for bad data under a `fail` policy. What was committed stays.
 */
export async function backfill(
  pipeline: Pipeline,
  options: BackfillOptions = {},
  onEpoch: (result: EpochResult) => void = () => {},
): Promise<Summary> {
  const started = systemClock.nowMs()
  checkOptions(options)
  const flows = subscribeFlows(pipeline)
  const abort = new AbortController()
  const forward = () => abort.abort(options.signal?.reason)
  options.signal?.addEventListener('abort', forward, { once: true })
  if (options.signal?.aborted) forward()
  let session: Session | undefined
  try {
    session = await openSession(options)
    const run = await openRun(pipeline, options, flows, session, abort.signal)
    return await work(run, onEpoch, started)
  } finally {
    options.signal?.removeEventListener('abort', forward)
    // Fetches and partials that ran ahead stop before their folder goes.
    abort.abort()
    flows.complete()
    await session?.close()
  }
}

function checkOptions({ objectsPerEpoch, threads, memory }: BackfillOptions): void {
  for (const [name, value] of Object.entries({ objectsPerEpoch, threads }))
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 1))
      throw configError(name, value, 'a whole number above zero')
  if (memory !== undefined && !/^\d+(\.\d+)? ?[KMGT]i?B$/i.test(memory))
    throw configError('memory', memory, "a size such as '2GB' or '512MB'")
}

/** A run with its checkpoint claimed and its state loaded. */
interface Run {
  readonly pipeline: Pipeline
  readonly options: BackfillOptions
  readonly subscribed: Flows
  readonly flows: readonly Flow[]
  readonly nodes: readonly StatefulNode[]
  readonly plan: ReturnType<typeof pipelinePlan>
  readonly source: string
  readonly delayUs: bigint | undefined
  readonly fetch: Fetch
  readonly asBad: (version: ObjectVersion, reason: string) => MarkedObject
  readonly listing: Listing
  readonly checkpoint: CheckpointStore
  readonly checkpointAddress: string
  readonly term: number
  readonly outboxes: ReadonlyMap<Flow, Outbox>
  readonly outputs: ReadonlyMap<Flow, ObjectStore>
  /** Partials of coming epochs. */
  readonly ahead: EpochContext
  /** Apply, commit, publish. */
  readonly commit: EpochContext
  readonly manifest: Manifest
}

async function openRun(
  pipeline: Pipeline,
  options: BackfillOptions,
  subscribed: Flows,
  session: Session,
  signal: AbortSignal,
): Promise<Run> {
  const { definition } = subscribed
  const { settings } = definition
  const executor = async (): Promise<Executor> => createExecutor(await session.connect(), signal)
  const [fetching, computing, committing] = [await executor(), await executor(), await executor()]

  // Epoch 0 is the binding pass: everything that is wrong with the plan shows before anything is claimed or read.
  const terminals = subscribed.describe(0)
  const flows = await bindFlows(terminals, createGate(computing), computing)
  const nodes = statefulNodes(flows)
  const plan = pipelinePlan(terminals)
  const addresses = outputAddresses(flows, options.output)

  const input = await parseInput(
    options.input ?? definition.objects,
    options.input === undefined ? `source ${settings.name}: objects` : 'input',
  )
  const format = formats[settings.format]
  if (!format) throw configError(`source ${settings.name}: format`, settings.format, Object.keys(formats).join(' or '))

  const field = options.checkpoint === undefined ? 'pipeline checkpoint' : 'checkpoint'
  const store = await openWritableStore(options.checkpoint ?? pipeline.checkpoint, field)
  const checkpoint = createCheckpointStore({
    store,
    owner: `${hostname()}/${process.pid}/${systemClock.startedAtMs}`,
    newId: randomUUID,
    scratch: session.stage,
    merge: (channel, files, to) => mergeFiles(committing, nodes, channel, files, to),
  })
  const seen = await checkpoint.readHead()
  if (seen) checkPlan(seen.manifest, pipeline.name, plan, store.address)
  await checkpoint.probe(signal)
  const head = await checkpoint.claim(initialState(pipeline.name, plan))
  checkPlan(head.manifest, pipeline.name, plan, store.address)

  const outputs = new Map<Flow, ObjectStore>()
  const outboxes = new Map<Flow, Outbox>()
  for (const [flow, address] of addresses) {
    const output = await openWritableStore(address, options.output === undefined ? `${flow.name}: files` : 'output')
    const outbox = createOutbox({
      output: flow.name,
      store: output,
      checkpointId: head.manifest.checkpointId,
      pipeline: pipeline.name,
      newId: randomUUID,
    })
    await outbox.own(head.manifest.epoch === 0)
    outputs.set(flow, output)
    outboxes.set(flow, outbox)
  }
  // Whatever an older term left behind and nothing names goes now: its writer cannot commit any more (P12).
  await checkpoint.orphans()
  const reachable = await checkpoint.reachable()
  for (const outbox of outboxes.values()) await outbox.orphans(head.term, reachable)

  await loadState(checkpoint, head.manifest, nodes, committing, session.stage)
  const listing = await admit({
    store: openStore(input.root, 'input'),
    matches: input.matches,
    format,
    settings,
    executor: fetching,
    from: options.from,
    to: options.to,
    miniBatch:
      options.objectsPerEpoch === undefined
        ? definition.miniBatch
        : { objectsMax: options.objectsPerEpoch, bytesMax: Number.MAX_SAFE_INTEGER },
    signal,
  })
  const context = { flows, stage: session.stage, newId: randomUUID }
  const fetchContext = {
    store: openStore(input.root, 'input'),
    format,
    settings,
    executor: fetching,
    spool: session.spool,
    signal,
  }
  return {
    pipeline,
    options,
    subscribed,
    flows,
    nodes,
    plan,
    source: settings.name,
    delayUs: settings.delayUs === undefined ? undefined : BigInt(settings.delayUs),
    fetch: createFetch(fetchContext),
    asBad: (version, reason) => badObject(fetchContext, version, reason),
    listing,
    checkpoint,
    checkpointAddress: store.address,
    term: head.term,
    outboxes,
    outputs,
    ahead: { ...context, executor: computing },
    commit: { ...context, executor: committing },
    manifest: head.manifest,
  }
}

/** Where each flow's files go. Two flows cannot share a folder: their files would have to share a marker and names. */
function outputAddresses(flows: readonly Flow[], override: string | undefined): ReadonlyMap<Flow, string> {
  const sinks = flows.flatMap(flow => (flow.terminal.is === 'files' ? [{ flow, uri: flow.terminal.uri }] : []))
  if (override !== undefined && sinks.length !== 1)
    throw configError(
      'output',
      override,
      `a pipeline with exactly one files() sink; this one has ${sinks.length}, so set their addresses in the pipeline`,
    )
  return new Map(sinks.map(({ flow, uri }) => [flow, override ?? uri]))
}

async function mergeFiles(
  executor: Executor,
  nodes: readonly StatefulNode[],
  channel: string,
  files: readonly string[],
  to: string,
) {
  const rows = `SELECT * FROM read_parquet([${files.map(text).join(', ')}])`
  const node = nodes.find(({ id }) => channel === `segment-${id}`)
  return executor.write(node ? node.step.merge(rows) : rows, to, node ? node.step.partialOrder : [])
}

/** A mini-batch under way: everything that may run before the commit of the one before it. */
interface Ahead {
  readonly batch: readonly Admitted[]
  readonly marked: Promise<readonly MarkedObject[]>
  readonly stamped: Promise<Stamped>
  readonly partials: Promise<Partials>
}

async function work(run: Run, onEpoch: (result: EpochResult) => void, started: number): Promise<Summary> {
  const { listing, options, source, checkpoint } = run
  const columns = run.subscribed.definition.settings.columns
  let manifest = run.manifest
  let position = positionOf(manifest, source)
  let publishing: Promise<readonly Unpublished[]> = publish(run, manifest.unpublished)
  const ran = { objects: 0, rows: 0, bytes: 0, epochs: 0, setAside: [] as SetAside[] }
  const limitFetches = limited(fetchesMax)

  const prepare = (
    batch: readonly Admitted[],
    before: Promise<LedgerPosition>,
    known?: Promise<readonly MarkedObject[]>,
  ): Ahead => {
    const marked = known ?? Promise.all(batch.map(object => limitFetches(() => fetchOne(run, object))))
    const stamped = Promise.all([marked, before]).then(([objects, from]) => stamp(from, objects, run.delayUs))
    const partials = stamped.then(({ objects }) => computePartials(run.ahead, objects, columns))
    // Awaited later, or dropped when an earlier one fails.
    for (const promise of [marked, stamped, partials]) promise.catch(() => {})
    return { batch, marked, stamped, partials }
  }

  const ahead: Ahead[] = []
  let isListed = false
  const fill = async () => {
    while (!isListed && ahead.length < aheadMax && !options.drain?.aborted) {
      const batch = await listing.next()
      if (!batch) isListed = true
      else ahead.push(prepare(batch, ahead.at(-1)?.stamped.then(({ after }) => after) ?? Promise.resolve(position)))
    }
  }

  const progress = () =>
    options.onProgress?.({
      objectsDone: ran.objects,
      objectsTotal: listing.objects,
      bytesDone: ran.bytes,
      bytesTotal: listing.bytes,
      rows: ran.rows,
      epoch: manifest.epoch,
    })

  progress()
  for (;;) {
    await fill()
    const head = ahead[0]
    if (!head || options.drain?.aborted) break
    const stamped = await head.stamped
    let partials: Partials
    try {
      partials = await head.partials
    } catch (error) {
      if (isMillraceError(error)) throw error
      // An object turned out bad late. What was stamped after it is stamped again without its rows and its mark.
      const bad = await diagnose(run.ahead, stamped.objects, columns, error)
      const again = stamped.objects.map(object =>
        bad.has(object)
          ? run.asBad(object.marked.version, reasonOf(bad.get(object), '', object.marked.version.key))
          : object.marked,
      )
      await redo(again)
      continue
    }
    const epoch = manifest.epoch + 1
    checkDescribed(run, epoch)
    const rows = stamped.objects.map(object => objectRow(object, epoch, source, partials.late.get(object.seq) ?? 0))
    await commitEpoch(epoch, partials, rows, stamped.after)
    for (const { marked } of stamped.objects) {
      ran.objects++
      ran.rows += marked.rows
      ran.bytes += marked.version.sizeBytes
      if (marked.reason !== null) ran.setAside.push({ key: marked.version.key, reason: marked.reason })
      await marked.release()
    }
    ahead.shift()
    progress()
  }

  const drained = !isListed || ahead.length > 0
  if (!drained && options.flush !== false && (await isFlushDue(run.commit.executor))) await flush()
  publishing = publishing.then(done => done)
  manifest = dropPublished(manifest, await publishing)
  manifest = await checkpoint.collect(manifest, storesByName(run))
  manifest = committed(await checkpoint.release(manifest)).manifest
  return summary(run, manifest, position, ran, drained, (systemClock.nowMs() - started) / 1000)

  /** Puts the batches that run ahead together again, the first with these objects, each stamped after the one before. */
  async function redo(first: readonly MarkedObject[]): Promise<void> {
    const old = ahead.splice(0)
    for (const { partials } of old) {
      const made = await partials.catch(() => undefined)
      if (made) await discard(run, made)
    }
    for (const [index, { batch, marked }] of old.entries())
      ahead.push(
        prepare(
          batch,
          ahead.at(-1)?.stamped.then(({ after }) => after) ?? Promise.resolve(position),
          index === 0 ? Promise.resolve(first) : marked,
        ),
      )
  }

  async function flush(): Promise<void> {
    if (position.highMarkUs === null) return
    const flushUs = await flushWatermark(run.commit.executor, run.nodes, position.highMarkUs)
    if (flushUs === null || (position.watermarkUs !== null && flushUs <= position.watermarkUs)) return
    const epoch = manifest.epoch + 1
    checkDescribed(run, epoch)
    const after = {
      ...advance(position, { is: 'flush', watermarkUs: flushUs }, run.delayUs),
      nextSeq: position.nextSeq + 1,
    }
    await commitEpoch(epoch, noPartials, [flushRow(position.nextSeq, epoch, source, flushUs)], after)
  }

  async function commitEpoch(
    epoch: number,
    partials: Partials,
    rows: readonly LedgerRow[],
    after: LedgerPosition,
  ): Promise<void> {
    const { executor } = run.commit
    const applied = await applyEpoch(run.commit, partials, position.watermarkUs, after.watermarkUs)
    const ledger = await executor.write(ledgerSql(rows), join(run.commit.stage, randomUUID()), ['seq'])
    const totals = addTotals(manifest.engine.totals as unknown as Totals, rows)

    // Output of the epoch before is visible by now, or this waits for it: publishing is never more than one epoch behind.
    let next = dropPublished(
      { ...manifest, epoch, engine: engineState(run.pipeline.name, run.plan, source, after, totals) },
      await publishing,
    )
    const outputs = [...partials.outputs, ...applied.outputs].filter(({ written }) => written.rows > 0)
    const unpublished: Unpublished[] = []
    for (const { flow, written } of outputs) {
      const to = outputName(flow, epoch)
      const outbox = run.outboxes.get(flow) as Outbox
      unpublished.push(await outbox.stage({ term: run.term, epoch, file: written.file, rows: written.rows, to }))
    }
    next = { ...next, unpublished: [...next.unpublished, ...unpublished] }
    const channels: ChannelFile[] = [{ channel: 'ledger', written: ledger }, ...partials.channels, ...applied.channels]
    if (unpublished.length > 0) {
      const listed = unpublished.map(
        ({ output, to, file }) =>
          `(${epoch}, ${text(output)}, ${text(to)}, ${file.rows}, ${file.bytes}, ${text(file.sha256)})`,
      )
      const written = await executor.write(
        `SELECT * FROM (VALUES ${listed.join(', ')}) AS t(epoch, output, key, rows, bytes, sha256)`,
        join(run.commit.stage, randomUUID()),
        ['epoch', 'output'],
      )
      channels.push({ channel: 'outputs', written })
    }
    for (const { channel, written, aliveToUs } of channels) {
      const ref = await checkpoint.stage(channel, epoch, written.file, written.rows)
      next = addPart(next, channel, {
        ...ref,
        epochs: [epoch, epoch],
        ...(aliveToUs === undefined ? {} : { aliveToUs: aliveToUs.toString() }),
      })
    }
    // Segments whose last window has closed hold nothing alive (P11).
    for (const node of run.nodes)
      next = dropParts(
        next,
        `segment-${node.id}`,
        ({ aliveToUs }) =>
          aliveToUs !== undefined && after.watermarkUs !== null && BigInt(aliveToUs) <= after.watermarkUs,
      )

    // Commit point. Before it a crash replays the epoch from its objects; after it recovery finds the epoch in HEAD
    // and publishes what is listed there.
    manifest = committed(await checkpoint.commit(next)).manifest
    publishing = publish(run, manifest.unpublished)

    for (const node of run.nodes) await adopt(executor, node, partials.partials.get(node.id), after.watermarkUs)
    await executor.run(`INSERT INTO ledger ${ledgerSql(rows)}`)
    await deliverRows(run, [partials.rowTables, applied.rowTables])
    position = after
    await dropTables(executor, [...partials.tables, ...applied.tables])
    for (const file of [...channels, ...outputs].map(({ written }) => written.file)) await rm(file, { force: true })
    if (manifest.garbage.length >= garbageMax) manifest = await checkpoint.collect(manifest, storesByName(run))
    ran.epochs++
    onEpoch({
      epoch,
      objects: rows.filter(({ is }) => is === 'object').length,
      rows: sum(rows, 'rows'),
      late: sum(rows, 'late'),
      outputFiles: unpublished.map(({ output, to }) => address(run, output, to)),
      totals,
    })
  }
}

const noPartials: Partials = {
  partials: new Map(),
  late: new Map(),
  channels: [],
  outputs: [],
  rowTables: new Map(),
  tables: [],
}

async function fetchOne(run: Run, { overwrites, ...version }: Admitted): Promise<MarkedObject> {
  if (overwrites && run.subscribed.definition.settings.overwrite === 'quarantine')
    return {
      ...run.asBad(
        version,
        "another version of this key was counted before; set overwrite: 'append' to count this one as well (a folder copied afresh has new modification times)",
      ),
    }
  return run.fetch(version)
}

async function discard(run: Run, partials: Partials): Promise<void> {
  await dropTables(run.ahead.executor, partials.tables)
  for (const { written } of [...partials.channels, ...partials.outputs]) await rm(written.file, { force: true })
}

/** Sends the epoch's mini-batch through the operators; the engine executes what the first description said. */
function checkDescribed(run: Run, epoch: number): void {
  run.subscribed.describe(epoch)
}

function committed(outcome: CommitOutcome): { readonly manifest: Manifest } {
  if (outcome.is === 'committed') return outcome.head
  throw new MillraceError(
    'fenced',
    'fenced',
    `Another process claimed the checkpoint: ${outcome.by.owner}, term ${outcome.by.term}. This process stops; nothing of its last epoch was committed and the other one goes on.`,
  )
}

async function publish(run: Run, unpublished: readonly Unpublished[]): Promise<readonly Unpublished[]> {
  const work = Promise.all(
    unpublished.map(file => {
      const outbox = [...run.outboxes].find(([flow]) => flow.name === file.output)?.[1]
      if (!outbox)
        throw new MillraceError(
          'fatal',
          'output',
          `The checkpoint names output '${file.output}', which the pipeline no longer has.`,
        )
      return outbox.publish(file)
    }),
  ).then(() => unpublished)
  // Awaited before the next commit.
  work.catch(() => {})
  return work
}

async function deliverRows(run: Run, tables: readonly ReadonlyMap<Flow, string>[]): Promise<void> {
  for (const [flow, table] of tables.flatMap(map => [...map])) {
    if (flow.terminal.is !== 'rows') continue
    for await (const rows of tableRows(run.commit.executor, table)) flow.terminal.deliver(rows)
    run.subscribed.check()
  }
}

function outputName(flow: Flow, epoch: number): string {
  const extension = flow.terminal.is === 'files' && flow.terminal.format === 'json' ? 'jsonl' : 'parquet'
  return `part-${String(epoch).padStart(8, '0')}-${flow.name}.${extension}`
}

function storesByName(run: Run): Readonly<Record<string, ObjectStore>> {
  return Object.fromEntries([...run.outputs].map(([flow, store]) => [flow.name, store]))
}

function address(run: Run, output: string, key: string): string {
  const store = storesByName(run)[output]
  return `${store?.address ?? output}/${key}`
}

function sum(rows: readonly LedgerRow[], column: keyof LedgerRow): number {
  return rows.reduce((total, row) => total + Number(row[column] ?? 0), 0)
}

function addTotals(totals: Totals, rows: readonly LedgerRow[]): Totals {
  const objects = rows.filter(({ is }) => is === 'object')
  return {
    rows: totals.rows + sum(objects, 'rows'),
    late: totals.late + sum(objects, 'late'),
    objects: totals.objects + objects.length,
    quarantined: totals.quarantined + objects.filter(({ outcome }) => outcome === 'quarantined').length,
    skipped: totals.skipped + objects.filter(({ outcome }) => outcome === 'skipped').length,
    quarantinedRows: totals.quarantinedRows + sum(objects, 'quarantined_rows'),
    outsideBounds: totals.outsideBounds + sum(objects, 'outside_bounds'),
    epochs: totals.epochs + 1,
  }
}

const farAheadMax = 100

async function summary(
  run: Run,
  manifest: Manifest,
  position: LedgerPosition,
  ran: Omit<Summary['run'], 'seconds' | 'ignored' | 'leftOut' | 'drained'>,
  drained: boolean,
  seconds: number,
): Promise<Summary> {
  const { executor } = run.commit
  let openWindows = 0
  const farAhead: FarAhead[] = []
  for (const node of run.nodes) {
    const open = node.step.openWindows(partialsSql(node))
    const [count] = await executor.rows(`SELECT count(*) AS n FROM (${open})`)
    openWindows += Number(count?.n)
    if (position.highMarkUs === null) continue
    const beyond = await executor.rows(
      `SELECT * FROM (${open}) WHERE _window_start > ${position.highMarkUs} ORDER BY _window_start, _window_end LIMIT ${farAheadMax - farAhead.length}`,
    )
    const flow = run.flows.find(({ stateful }) => stateful?.id === node.id)?.name ?? ''
    for (const row of beyond)
      farAhead.push({
        flow,
        windowStart: iso(row._window_start as bigint),
        windowEnd: iso(row._window_end as bigint),
        groups: Number(row.groups),
      })
  }
  return {
    pipeline: run.pipeline.name,
    checkpoint: run.checkpointAddress,
    outputs: [...run.outputs.values()].map(({ address: root }) => root),
    totals: manifest.engine.totals as unknown as Totals,
    outputFiles: await outputFiles(run, manifest),
    run: { ...ran, seconds, ignored: run.listing.ignored, leftOut: run.listing.leftOut, drained },
    openWindows,
    farAhead,
    nothingToDo: ran.epochs === 0 && !drained,
  }
}

/** Every output file of the checkpoint, from its own record of them. */
async function outputFiles(run: Run, manifest: Manifest): Promise<readonly string[]> {
  const found: string[] = []
  for (const part of manifest.channels.outputs ?? []) {
    const file = join(run.commit.stage, randomUUID())
    await run.checkpoint.load(part, file)
    const rows = await run.commit.executor.rows(
      `SELECT output, key FROM read_parquet(${text(file)}) ORDER BY epoch, output`,
    )
    await rm(file, { force: true })
    found.push(...rows.map(row => address(run, String(row.output), String(row.key))))
  }
  return found
}

/** Microseconds as ISO 8601, UTC; beyond what Date can hold as microseconds. */
export function iso(us: bigint): string {
  const ms = Number(us / 1000n)
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${us} microseconds since 1970`
}

/** Runs at most `max` pieces of work at once, in the order of asking. */
function limited(max: number): <T>(work: () => Promise<T>) => Promise<T> {
  let active = 0
  const waiting: (() => void)[] = []
  return async work => {
    while (active >= max) await new Promise<void>(resolve => waiting.push(resolve))
    active++
    try {
      return await work()
    } finally {
      active--
      waiting.shift()?.()
    }
  }
}
