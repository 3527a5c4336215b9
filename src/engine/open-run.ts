import { randomUUID } from 'node:crypto'
import { type CheckpointStore, createCheckpointStore, type RowsSource } from '../../checkpoints/checkpoint-store.ts'
import { garbageKey } from '../../checkpoints/manifest.ts'
import type { Head, Manifest } from '../../checkpoints/types.ts'
import type { Input } from '../../connectors/input/input.ts'
import { connectorOf, formatOf } from '../../connectors/registry.ts'
import type { Clock } from '../core/clock.ts'
import { configError, MillraceError } from '../core/errors.ts'
import { ownerName } from '../core/owner.ts'
import type { Executor, ObjectStore } from '../core/ports.ts'
import type { SinkPort } from '../core/sink-port.ts'
import { stoppable } from '../core/stoppable.ts'
import { type AfterSettings, keepAll } from '../plan/after.ts'
import { bindFlows } from '../plan/bind.ts'
import type { ClockShape } from '../plan/clock.ts'
import { createGate } from '../plan/gate.ts'
import type { MiniBatchOptions } from '../plan/mini-batch-options.ts'
import type { NotificationSpec } from '../plan/notification-spec.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { flowName } from '../plan/plan-ids.ts'
import type { LiveSettings } from '../plan/source.ts'
import { clockShape, type Flow, type Stage, stagesInOrder } from '../plan/stages.ts'
import type { StoredPlan } from '../plan/stored-plan.ts'
import { checkPlan, fitPlan } from './bind/fit-plan.ts'
import type { Flows } from './bind/flows.ts'
import { fencedBy, type Heartbeat, startHeartbeat } from './commit/heartbeat.ts'
import { standBy } from './commit/stand-by.ts'
import type { Components } from './components.ts'
import type { Session } from './duckdb/session.ts'
import type { EpochContext } from './fold/work.ts'
import { periodBounds } from './intake/admit.ts'
import { type AttemptDecision, decideAttempt } from './intake/attempt.ts'
import { createKindOf, type KindOf, linksOf, suffixesOf } from './intake/key-kind.ts'
import type { BackfillOptions, RunOptions } from './options.ts'
import { checkAfter, openAfterPlace } from './publish/after-place.ts'
import { createDelivery } from './publish/deliveries.ts'
import { openSink, type SinkEnd, sinkEnds } from './publish/outputs.ts'
import { pathWithin } from './publish/places.ts'
import { behindDefault, type Output } from './publish/publisher.ts'
import { checkFormat } from './read/check-format.ts'
import type { FetchContext } from './read/marked-object.ts'
import { type NeverSeen, nothingSeen } from './read/never-seen.ts'
import { followMoves, openMoved } from './replay/moved.ts'
import { checkReplayable, type Replayed, withStageNames } from './replay/replay.ts'
import { type ChannelReader, withRows } from './state/channels.ts'
import { type LedgerPosition, checkOpen, engineRecords, initialState, positionOf } from './state/engine-state.ts'
import { readCheckpoint } from './state/read-checkpoint.ts'
import { loadState } from './state/recover.ts'
import { aliveSql, segmentChannel, stateTables } from './state/state.ts'
import { recounted } from './state/totals.ts'

/** A run with its plan bound, its checkpoint claimed and its state loaded. */
export interface Run {
  readonly pipeline: Pipeline
  readonly options: RunOptions
  readonly subscribed: Flows
  readonly flows: readonly Flow[]
  /** Each stage of the flows once, those before others first. */
  readonly stages: readonly Stage[]
  /** What the manifest keeps of the plan. */
  readonly plan: StoredPlan
  readonly fetch: FetchContext & { readonly neverSeen: NeverSeen }
  readonly input: Input
  /** What each key of the input is to the source. */
  readonly kindOf: KindOf
  /** The ledger that is replayed instead of a listing. */
  readonly replayed: Replayed | undefined
  readonly miniBatch: MiniBatchOptions
  readonly live: LiveSettings
  /** What becomes of objects that are committed. */
  readonly after: AfterSettings
  /** Where they move to. */
  readonly afterPlace: ObjectStore | undefined
  /** What announces objects, if the source names it. */
  readonly notifications: NotificationSpec | undefined
  /** For listings and look-ups of a live run, which wait for no epoch. */
  readonly lookUps: Executor
  /** What the deaths of earlier processes ask of this one (P13). */
  readonly attempt: AttemptDecision
  /** Nothing may follow in the ledger: the run only sends out what is committed. */
  readonly isSealed: boolean
  /** Where the ledger stood at the start. */
  readonly position: LedgerPosition
  readonly reader: ChannelReader
  readonly clock: Clock
  /** Stops the run with this error: statements are interrupted, nothing further is committed. */
  stop(error: Error): void
  readonly checkpoint: CheckpointStore
  /** Beats from the claim on; the committer ends it, or the abort of the run. */
  readonly heartbeat: Heartbeat
  readonly checkpointAddress: string
  readonly head: Head
  /** By flow name. */
  readonly outputs: ReadonlyMap<string, Output>
  /** Partials of coming epochs. */
  readonly ahead: EpochContext
  /** Apply, commit, publish. */
  readonly commit: EpochContext
}

export async function openRun(
  pipeline: Pipeline,
  options: RunOptions & Pick<BackfillOptions, 'from' | 'to' | 'ledger'>,
  subscribed: Flows,
  session: Session,
  components: Components,
  abort: AbortController,
): Promise<Run> {
  const { signal } = abort
  // Who waits for a live owner may give up at a drain, too.
  const given = AbortSignal.any([signal, ...(options.drain ? [options.drain] : [])])
  const { definition } = subscribed
  const { settings, policies } = definition
  const fetching = await session.executor(signal)
  const computing = await session.executor(signal)
  const committing = await session.executor(signal)
  const merging = await session.executor(signal)
  // Listings and look-ups of a live run wait for none of these.
  const lookUps = await session.executor(signal)

  // Epoch 0 is the binding pass: everything that is wrong with the plan shows before anything is claimed or read.
  const { terminals } = subscribed
  const gate = createGate(computing)
  const bound = await bindFlows(terminals, gate, computing)
  const format = formatOf(settings, policies, components.formats)
  await checkFormat(format, settings.name, computing)
  if (definition.notifications)
    connectorOf(definition.notifications, `source ${settings.name}: notifications`, components.connectors)
  const inputField = options.input === undefined ? `source ${settings.name}: objects` : 'input'
  const input = await components.findInput(options.input ?? definition.objects, inputField)
  const ends = sinkEnds(terminals, options.output, components.sinks)
  const folders = ends.filter(({ kind }) => kind.isFolder)
  const checkpointField = options.checkpoint === undefined ? 'pipeline checkpoint' : 'checkpoint'
  const checkpointAddress = options.checkpoint ?? pipeline.checkpoint
  const written = [
    ...folders.map(({ sink }) => [sink.uri, 'output'] as const),
    [checkpointAddress, checkpointField] as const,
  ]
  for (const [address, field] of written) checkApart(input, address, field, suffixesOf(format, definition.keys))
  for (const { sink } of folders) checkOutside(sink.uri, checkpointAddress)
  // A replay repeats what another run did: that one's objects stay as they are.
  const after = options.ledger === undefined ? definition.after : keepAll
  await checkAfter(after, {
    source: settings.name,
    input: input.root,
    written: written.map(([address, field]) => [address, `the ${field}`] as const),
  })

  const openEnd = (end: SinkEnd, manifest: Manifest) =>
    openSink(end, manifest, pipeline.name, components, output => stoppable(output, signal))
  const store = stoppable(await components.openWritable(checkpointAddress, checkpointField), signal)
  let stages: readonly Stage[] = []
  let shapes: readonly ClockShape[] = []
  const { clock } = components
  const owner = ownerName(clock)
  const checkpoint = createCheckpointStore({
    store,
    owner,
    newId: randomUUID,
    // Whoever waits to try again gives up at a stop.
    sleep: ms => clock.sleep(ms, signal),
    scratch: session.stage,
    // Nothing is merged before the claim, which tells the stages' ids.
    merge: (channel, sources, to, manifest) =>
      mergeRows(merging, stages, channel, sources, to, manifest.epoch, positionOf(manifest, settings.name, shapes)),
  })
  // What can be refused is refused before the claim fences the owner out.
  periodBounds(settings, options.from, options.to)
  const other =
    options.ledger === undefined ? undefined : await readCheckpoint(components, options.ledger, 'ledger', session.stage)
  if (other) checkReplayable(other, settings)
  // It holds all of its own ledger, and its output is there.
  if (other?.address === store.address)
    throw configError('ledger', other.address, 'the checkpoint of another run; give a new --checkpoint and --output')
  const seen = await checkpoint.readHead()
  if (seen) {
    checkOpen(seen.manifest, store.address)
    await checkPlan(seen.manifest, pipeline.name, bound, gate, store.address)
    if (seen.manifest.epoch > 0) for (const end of ends) await (await openEnd(end, seen.manifest)).check(false)
  }
  await checkpoint.probe(signal)
  // A replay names its stages as the ledger does that it repeats.
  const initial = await fitPlan(other?.head.manifest, pipeline.name, bound, gate)
  const head = await checkpoint.claim(initialState(initial.plan), standBy(options, clock, owner, given))
  const heartbeat = startHeartbeat(checkpoint, clock, lost =>
    abort.abort(lost instanceof Error ? lost : fencedBy(lost)),
  )
  // Loading may take longer than others wait for a silent owner.
  signal.addEventListener('abort', () => void heartbeat.stop(), { once: true })
  // Another owner may have been waited for: what it left is looked at again.
  checkOpen(head.manifest, store.address)
  await checkPlan(head.manifest, pipeline.name, bound, gate, store.address)
  const { plan, flows, ids } = await fitPlan(head.manifest, pipeline.name, bound, gate)
  stages = stagesInOrder(flows)
  shapes = stages.map(clockShape)
  const replayed = other && withStageNames(other, ids, initial.ids)
  const from = checkpoint.claimedFrom

  const outputs = new Map<string, Output>()
  for (const end of ends) {
    const sink = await openEnd(end, head.manifest)
    await sink.own(head.manifest.epoch === 0, head.term)
    await checkNothingBeyond(sink, head, checkpoint, store.address)
    outputs.set(end.name, { ...end, is: 'sink', sink })
  }
  // What an older term left behind and nothing names goes now: its writer cannot commit any more (P12).
  await checkpoint.orphans()
  const reachable = await checkpoint.reachable()
  // Flows may share a place, so what waits for any of them stays.
  const isNamed = (name: string) => ends.some(end => reachable.has(garbageKey({ store: end.name, name })))
  for (const { sink } of outputs.values()) await sink.orphans(head.term, isNamed)
  for (const [index, { is }] of terminals.entries()) {
    const name = flowName(index)
    if (is === 'rows')
      outputs.set(name, {
        name,
        is,
        sink: createDelivery(name, index, subscribed),
        behind: behindDefault,
      })
  }

  const position = positionOf(head.manifest, settings.name, shapes)
  const reader: ChannelReader = { checkpoint, manifest: head.manifest, stage: session.stage, newId: randomUUID }
  await loadState(reader, stages, position, committing)
  const manifest = await recounted(head.manifest, committing)
  const inputPlace = await components.openInput(input.root, inputField, linksOf(input, definition.keys))
  const afterPlace = await openAfterPlace(after, settings.name, inputPlace, components)
  const moved =
    replayed && (await openMoved({ ...reader, ...replayed, manifest: replayed.head.manifest }, lookUps, components))
  const inputStore = moved ? followMoves(inputPlace, moved) : inputPlace
  const context = { flows, stages, stage: session.stage, newId: randomUUID, sinks: components.sinks }
  return {
    pipeline,
    options,
    subscribed,
    flows,
    stages,
    plan,
    fetch: {
      store: inputStore,
      format,
      settings,
      // A replay sets aside what the ledger does, whatever becomes of new rows and objects now.
      policies: replayed ? { ...policies, onBadRow: 'quarantine', onBadObject: 'quarantine' } : policies,
      executor: fetching,
      neverSeen: nothingSeen(settings, format),
      spool: session.spool,
      clock: components.clock,
      signal,
    },
    input,
    kindOf: createKindOf(input, format, definition.keys),
    replayed,
    miniBatch: definition.miniBatch,
    live: definition.live,
    after,
    afterPlace,
    notifications: definition.notifications,
    lookUps,
    attempt:
      replayed !== undefined || from === undefined
        ? { is: 'none' }
        : decideAttempt(head.manifest, from.released, from.owner === owner),
    isSealed: engineRecords(head.manifest).sealed,
    position,
    reader,
    clock: components.clock,
    stop: error => abort.abort(error),
    checkpoint,
    heartbeat,
    checkpointAddress: store.address,
    head: { ...head, manifest },
    outputs,
    ahead: { ...context, executor: computing },
    commit: { ...context, executor: committing },
  }
}

/** Refuses output that is newer than the checkpoint: it would be computed and published a second time, under other names. */
async function checkNothingBeyond(
  sink: SinkPort,
  head: Head,
  checkpoint: CheckpointStore,
  address: string,
): Promise<void> {
  const { epoch } = head.manifest
  const through = await sink.through(epoch)
  if (through === undefined || through <= epoch) return
  const [first = `epoch ${through}`, ...others] = (await sink.repair?.traces(epoch))?.later ?? []
  // Published by another process that has claimed since.
  const now = await checkpoint.readHead()
  if (now && now.term > head.term) throw fencedBy({ is: 'fenced', by: now })
  const more = others.length === 0 ? '' : ` and ${others.length} more`
  throw new MillraceError(
    'user',
    'output-beyond',
    `${sink.address} holds ${first}${more}, published in epochs that the checkpoint ${address} does not know: it stands at epoch ${epoch}. Was an older copy of the checkpoint put back? Bring the newer one back, or move these files away: their rows are computed again.`,
  )
}

/** What the files of checkpoints and output end in. */
const writtenSuffixes: readonly string[] = ['.parquet', '.jsonl', '.csv'].flatMap(name => [
  name,
  `${name}.gz`,
  `${name}.zst`,
])

/** Refuses to write where the input is read: the next run would take this one's files for objects. */
function checkApart(input: Input, address: string, field: string, suffixes: readonly string[]): void {
  const inside = pathWithin(input.root, 'input', address, field)
  if (inside === undefined) return
  const read = writtenSuffixes.filter(name => suffixes.some(suffix => name.endsWith(suffix.toLowerCase())))
  const names = [suffixes[0] ?? '', ...read]
  const folder = inside === '' ? '' : `${inside}/`
  if (names.some(name => input.matches(`${folder}part${name}`) || input.matches(`${folder}zone=1/part${name}`)))
    throw configError(field, address, `a folder outside the input ${input.root}`)
}

/** Refuses output inside the checkpoint's folder, where only the checkpoint's own files may lie: the rest are orphans. */
function checkOutside(address: string, checkpoint: string): void {
  if (pathWithin(checkpoint, 'checkpoint', address, 'output') !== undefined)
    throw configError('output', address, `a folder outside the checkpoint ${checkpoint}`)
}

function mergeRows(
  executor: Executor,
  stages: readonly Stage[],
  channel: string,
  sources: readonly RowsSource[],
  to: string,
  epoch: number,
  { clocks }: Pick<LedgerPosition, 'clocks'>,
) {
  return withRows(executor, sources, randomUUID, relation => {
    const rows = `SELECT * FROM ${relation}`
    const state = stateTables(stages).find(found => channel === segmentChannel(found))
    if (!state) return executor.write(rows, to, [])
    // What the watermark has closed was emitted (P11): a segment with one row far ahead would keep the rest for ever.
    const watermarkUs = clocks[state.stage.id] ?? null
    return executor.write(state.channel.merge(aliveSql(state, rows, watermarkUs, epoch)), to, state.channel.order)
  })
}
