import { randomUUID } from 'node:crypto'
import { connectorOf, formatOf } from '../../connectors/registry.ts'
import type { Clock } from '../core/clock.ts'
import { configError } from '../core/errors.ts'
import type { Executor, ObjectStore } from '../core/ports.ts'
import { stoppable } from '../core/stoppable.ts'
import { bindFlows } from '../plan/bind.ts'
import type { Format } from '../plan/format.ts'
import { createGate } from '../plan/gate.ts'
import type { LookupVersion } from '../plan/lookup.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import type { SourceDefinition } from '../plan/source-definition.ts'
import type { Flow, Stage } from '../plan/stages.ts'
import type { StoredPlan } from '../plan/stored-plan.ts'
import type { Flows } from './bind/flows.ts'
import { type Claim, claimCheckpoint } from './commit/claim.ts'
import type { Components } from './components.ts'
import type { SessionExecutor } from './duckdb/executor.ts'
import type { Session } from './duckdb/session.ts'
import { createParallelism, type Parallelism } from './fold/parallelism.ts'
import type { EpochContext } from './fold/work.ts'
import { periodBounds } from './intake/admit.ts'
import { createKindOf, linksOf } from './intake/key-kind.ts'
import { type Lookups, openLookups, recordedLookups } from './intake/lookups.ts'
import { type OpenLookup, openLookup } from './intake/read-lookup.ts'
import { type OpenSource, type OpenSources, sourceOf } from './intake/source.ts'
import type { BackfillOptions, RunOptions } from './options.ts'
import { openAfterPlace } from './publish/after-place.ts'
import { openOutputs } from './publish/open-outputs.ts'
import type { Output } from './publish/output.ts'
import { openSink } from './publish/outputs.ts'
import { duckdbOf } from './publish/sink-duckdb.ts'
import { findPlaces, type RunPlaces } from './publish/run-places.ts'
import { checkFormat } from './read/check-format.ts'
import { nothingSeen } from './read/never-seen.ts'
import { followMoves, type Moved, openMoved } from './replay/moved.ts'
import { checkReplayable, type Replayed, withStageNames } from './replay/replay.ts'
import type { RunEvent } from './report/events.ts'
import type { ChannelReader } from './state/channels.ts'
import { engineRecords } from './state/engine-state.ts'
import { lastVersion, loadVersions } from './state/lookup-versions.ts'
import { type ReadCheckpoint, readCheckpoint } from './state/read-checkpoint.ts'
import { loadState } from './state/recover.ts'
import { recounted } from './state/totals.ts'

/** A run with its plan bound, its checkpoint claimed and its state loaded. */
export interface Run {
  readonly pipeline: Pipeline
  readonly options: RunOptions
  readonly subscribed: Flows
  /** What the manifest keeps of the plan. */
  readonly plan: StoredPlan
  readonly flows: readonly Flow[]
  /** Each stage of the flows once, those before others first. */
  readonly stages: readonly Stage[]
  readonly sources: OpenSources
  readonly lookupTables: Lookups
  readonly claim: Claim
  /** Reads what the claimed checkpoint held at the start. */
  readonly reader: ChannelReader
  /** Nothing may follow in the ledger: the run only sends out what is committed. */
  readonly isSealed: boolean
  /** The ledger that is replayed instead of a listing. */
  readonly replayed: Replayed | undefined
  readonly isReplay: boolean
  /** By flow name. */
  readonly outputs: ReadonlyMap<string, Output>
  /** For listings and look-ups of a live run, which wait for no epoch. */
  readonly lookUps: SessionExecutor
  /** Partials of coming epochs. */
  readonly ahead: EpochContext
  /** Apply, commit, publish. */
  readonly commit: EpochContext
  readonly clock: Clock
  readonly parallelism: Parallelism
  /** Stops all at once. */
  readonly signal: AbortSignal
  onEvent(event: RunEvent): void
  /** Stops the run with this error: statements are interrupted, nothing further is committed. */
  stop(error: Error): void
}

type OpenOptions = RunOptions & Pick<BackfillOptions, 'from' | 'to' | 'ledger'>

/** Connections of a run: what is done on one waits for nothing on another. */
async function openExecutors(session: Session, signal: AbortSignal) {
  return {
    fetching: await session.executor(signal),
    computing: await session.executor(signal),
    committing: await session.executor(signal),
    merging: await session.executor(signal),
    lookUps: await session.executor(signal),
    refreshing: await session.executor(signal),
  }
}

export async function openRun(
  pipeline: Pipeline,
  options: OpenOptions,
  subscribed: Flows,
  session: Session,
  components: Components,
  abort: AbortController,
): Promise<Run> {
  const { signal } = abort
  const { clock } = components
  const { definitions, lookups, terminals } = subscribed
  const executors = await openExecutors(session, signal)

  const opening = { pipeline, options, subscribed, session, components, abort, executors }
  const bound = await bindPipeline(subscribed, executors.computing, components)
  const asked = { definitions, lookups, terminals, formats: bound.formats, checkpoint: pipeline.checkpoint, options }
  const places = await findPlaces(asked, components)
  const { address, field } = places.checkpoint
  const store = stoppable(await components.openWritable(address, field), signal)
  // What can be refused is refused before the claim fences the owner out.
  for (const { settings } of definitions) periodBounds(settings, options.from, options.to)
  const other = await otherLedger(options, subscribed, components, session, store.address)

  const { outputs, ...claimed } = await claimAll(opening, bound, places, store, other)
  const { fitted, stages } = claimed
  const { checkpoint, head } = claimed.claim

  const reader: ChannelReader = { checkpoint, manifest: head.manifest, stage: session.stage, newId: randomUUID }
  await loadState(reader, stages, claimed.claim.position, executors.committing)
  const manifest = await recounted(head.manifest, executors.committing)
  const replayed = other && withStageNames(other, fitted.ids, claimed.initialIds)
  const opened = { ...opening, places, formats: bound.formats, replayed, reader }
  const sources = await openSources(opened)
  const isSealed = engineRecords(head.manifest).sealed
  const lookupTables = await openLookupTables(opened, isSealed)
  return {
    pipeline,
    options,
    subscribed,
    plan: fitted.plan,
    flows: fitted.flows,
    stages,
    sources,
    lookupTables,
    claim: { ...claimed.claim, head: { ...head, manifest } },
    reader,
    isSealed,
    replayed,
    isReplay: replayed !== undefined,
    outputs,
    lookUps: executors.lookUps,
    ...epochContexts({ ...reader, ...components, flows: fitted.flows, stages }, executors),
    clock,
    // A lookup may be of any size, and is joined whole.
    parallelism: createParallelism(session, subscribed.lookups.length === 0),
    signal,
    onEvent: event => options.onEvent?.(event),
    stop: error => abort.abort(error),
  }
}

function epochContexts(
  { flows, stages, stage, newId, sinks }: Omit<EpochContext, 'executor'>,
  { computing, committing }: Awaited<ReturnType<typeof openExecutors>>,
): Pick<Run, 'ahead' | 'commit'> {
  const context = { flows, stages, stage, newId, sinks }
  return { ahead: { ...context, executor: computing }, commit: { ...context, executor: committing } }
}

/** Epoch 0 is the binding pass: everything that is wrong with the plan shows before anything is claimed or read. */
async function bindPipeline({ definitions, lookups, terminals }: Flows, executor: Executor, components: Components) {
  const gate = createGate(executor)
  const bound = await bindFlows(terminals, gate, executor)
  const formats = new Map<string, Format>()
  for (const { settings, policies, notifications } of definitions) {
    const { name } = settings
    const format = formatOf(settings, policies, components.formats)
    await checkFormat(format, `source ${name}`, executor)
    if (notifications) connectorOf(notifications, `source ${name}: notifications`, components.connectors)
    formats.set(name, format)
  }
  for (const { settings, policies } of lookups) {
    const format = formatOf(settings, policies, components.formats)
    await checkFormat(format, `lookup ${settings.name}`, executor)
    formats.set(settings.name, format)
  }
  return { gate, bound, formats }
}

/** What a run is opened with. */
interface Opening {
  readonly pipeline: Pipeline
  readonly options: OpenOptions
  readonly subscribed: Flows
  readonly session: Session
  readonly components: Components
  readonly abort: AbortController
  readonly executors: Awaited<ReturnType<typeof openExecutors>>
}

/** Claims the checkpoint, and the place of each output. */
async function claimAll(
  { pipeline, options, subscribed, session, components, abort, executors }: Opening,
  { bound, gate }: Awaited<ReturnType<typeof bindPipeline>>,
  { ends }: RunPlaces,
  store: ObjectStore,
  other: ReadCheckpoint | undefined,
) {
  const open = (end: RunPlaces['ends'][number], manifest: Claim['head']['manifest']) =>
    openSink(end, manifest, pipeline.name, components, {
      withStore: output => stoppable(output, abort.signal),
      duckdb: duckdbOf(session, abort.signal, end.name),
    })
  const claimed = await claimCheckpoint({
    pipeline: pipeline.name,
    sources: subscribed.definitions.map(({ settings }) => settings.name),
    store,
    bound,
    gate,
    merging: executors.merging,
    scratch: session.stage,
    other,
    options,
    clock: components.clock,
    abort,
    async refuse({ manifest }) {
      if (manifest.epoch > 0) for (const end of ends) await (await open(end, manifest)).check(false)
    },
  })
  const { checkpoint, address, head } = claimed.claim
  const outputs = await openOutputs({
    ends,
    subscribed,
    checkpoint,
    address,
    head,
    open: end => open(end, head.manifest),
    openWritable: components.openWritable,
  })
  return { ...claimed, outputs }
}

/** The checkpoint whose ledger is replayed. @throws MillraceError `user` for one that this run cannot repeat */
async function otherLedger(
  { ledger }: OpenOptions,
  { definitions, lookups }: Pick<Flows, 'definitions' | 'lookups'>,
  components: Components,
  session: Session,
  own: string,
): Promise<ReadCheckpoint | undefined> {
  if (ledger === undefined) return undefined
  const other = await readCheckpoint(components, ledger, 'ledger', session.stage)
  checkReplayable(
    other,
    definitions.map(({ settings }) => settings),
    lookups,
  )
  // It holds all of its own ledger, and its output is there.
  if (other.address === own)
    throw configError('ledger', other.address, 'the checkpoint of another run; give a new --checkpoint and --output')
  return other
}

interface SourceContext
  extends Pick<Opening, 'options' | 'subscribed' | 'session' | 'components' | 'executors' | 'abort'> {
  readonly places: RunPlaces
  readonly formats: ReadonlyMap<string, Format>
  readonly replayed: Replayed | undefined
  readonly reader: ChannelReader
}

async function openSources(context: SourceContext): Promise<OpenSources> {
  const { replayed, components, executors } = context
  const moved =
    replayed &&
    (await openMoved(
      { ...context.reader, ...replayed, manifest: replayed.head.manifest },
      executors.lookUps,
      components,
    ))
  const sources = new Map<string, OpenSource>()
  for (const definition of context.subscribed.definitions)
    sources.set(definition.settings.name, await openSource(context, definition, sources.size, moved))
  return sources
}

async function openSource(
  context: SourceContext,
  { settings, policies, keys, miniBatch, live, notifications }: SourceDefinition,
  place: number,
  moved: Moved | undefined,
): Promise<OpenSource> {
  const { places, replayed, components, session, executors } = context
  const format = sourceOf(context.formats, settings.name)
  const { input, field, after } = sourceOf(places.inputs, settings.name)
  const there = await components.openInput(input.root, field, linksOf(input, keys))
  const afterPlace = await openAfterPlace(after, settings.name, there, components)
  const store: ObjectStore = moved ? followMoves(there, settings.name, moved) : there
  return {
    place,
    fetch: {
      store,
      format,
      settings,
      // A replay sets aside what the ledger does, whatever becomes of new rows and objects now.
      policies: replayed ? { ...policies, onBadRow: 'quarantine', onBadObject: 'quarantine' } : policies,
      executor: executors.fetching,
      neverSeen: nothingSeen(settings, format),
      spool: session.spool,
      clock: components.clock,
      signal: context.abort.signal,
    },
    input,
    kindOf: createKindOf(input, format, keys),
    miniBatch,
    live,
    notifications,
    after,
    afterPlace,
  }
}

/** What the ledger ends with, and what lies at the places now; a replay takes its versions from the ledger alone. */
async function openLookupTables(context: SourceContext, isSealed: boolean): Promise<Lookups> {
  const { subscribed, reader, executors, session, components, replayed, abort, options } = context
  const last = new Map<string, LookupVersion & { readonly digest: string }>()
  for (const lookup of subscribed.lookups) {
    const { name } = lookup.settings
    const version = await lastVersion(executors.committing, name)
    if (!version) continue
    const [loaded] = await loadVersions(reader, executors.committing, lookup, [version], 'checkpoint')
    if (loaded) last.set(name, { ...loaded, digest: version.digest })
  }
  const versions = Object.fromEntries([...last].map(([name, { seq, table }]) => [name, { seq, table }]))
  if (replayed || isSealed) return recordedLookups(versions)
  const lookups: OpenLookup[] = []
  const { clock } = components
  const { signal } = abort
  for (const definition of subscribed.lookups) {
    const { input, field } = sourceOf(context.places.inputs, definition.settings.name)
    const reading = { executor: executors.refreshing, spool: session.spool, clock, signal }
    lookups.push(await openLookup(components, definition, input, field, reading))
  }
  return openLookups({
    lookups,
    last,
    spool: session.spool,
    clock,
    signal,
    onEvent: event => options.onEvent?.(event),
  })
}
