import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { outputPrefix } from '../../../checkpoints/paths.ts'
import { probeStore } from '../../../checkpoints/probe.ts'
import { connectorOf, formatOf } from '../../../connectors/registry.ts'
import { isS3Address, parseS3Address } from '../../../connectors/s3/spec.ts'
import { errorMessage } from '../../core/errors.ts'
import { about, type Finding } from '../../core/finding.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { Executor, ObjectStore } from '../../core/ports.ts'
import { showBytes, showCounted } from '../../core/quantity.ts'
import type { Components } from '../../engine/components.ts'
import { checkAfter, openAfterPlace, type Places as AfterPlaces } from '../../engine/publish/after-place.ts'
import { openSession } from '../../engine/duckdb/session.ts'
import { explain } from '../../engine/explain.ts'
import { checkPipeline } from '../../engine/bind/fit-plan.ts'
import { describeFlows } from '../../engine/bind/describe-flows.ts'
import { openSink, type Places, type SinkEnd, sinkEnds } from '../../engine/publish/outputs.ts'
import { inputsGiven } from '../../engine/publish/run-places.ts'
import { createKindOf, kindOfLink, linksOf, suffixesOf } from '../../engine/intake/key-kind.ts'
import { countKey, countOf, type Counts, type Ignored, type Unread } from '../../engine/report/ignored-keys.ts'
import { createIdentities, type Known } from '../../engine/intake/identities.ts'
import { tryLookup } from '../../engine/intake/try-lookup.ts'
import { createLedgerTable } from '../../engine/state/ledger.ts'
import { findCheckpoint, readCheckpoint, waitingFor } from '../../engine/state/read-checkpoint.ts'
import { loadLedger } from '../../engine/state/recover.ts'
import { keptForLate } from '../../engine/state/retentions.ts'
import { checkOpen } from '../../engine/state/engine-state.ts'
import { tryObject } from '../../engine/read/try-object.ts'
import { noTotals, totalsOf } from '../../engine/state/totals.ts'
import { miniBatchLimits } from '../../plan/mini-batch-options.ts'
import type { LookupDefinition } from '../../plan/lookup.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import { storedPlan } from '../../plan/stored-plan.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import { judgeAfter } from './judge-after.ts'
import {
  judgeEndless,
  judgeInput,
  judgeObject,
  judgeOverwriting,
  judgePeriods,
  judgeRetention,
  judgeSetAside,
  judgeWatermark,
} from './judge-input.ts'
import { judgeWaiting, type SeenSource } from './judge-waiting.ts'
import { bucketOf, judgeAnnouncements, judgeKeeping } from './judge-bucket.ts'

export interface DoctorOptions {
  readonly input?: Places
  readonly output?: Places
  readonly checkpoint?: string
}

/** Of an object that is opened: its columns are fetched, or all of it. */
const openedBytesMax = 1024 ** 3
/** Keys that are looked at of an input. */
const keysMax = 100_000
/** Of them, those that are looked up in the ledger at once. */
const lookedUpAtOnce = 1_000

/**
 * Looks at all that a run would need, and says what to change. Claims nothing and counts nothing; a checkpoint and an
 * output folder are written to by the probe of conditional writes (P4), which removes what it wrote.
 */
export async function examine(
  components: Components,
  pipeline: Pipeline,
  options: DoctorOptions,
): Promise<readonly Finding[]> {
  const bound = await attempt('pipeline', () => explain(pipeline))
  if ('is' in bound) return [bound]
  const { definitions, lookups, terminals, unsubscribe } = await describeFlows(pipeline)
  unsubscribe()
  const { flows } = bound
  const placed = await attempt('output', async () => ({ ends: sinkEnds(terminals, options.output, components.sinks) }))
  const { ends } = 'is' in placed ? { ends: [] } : placed
  const outputs = ends.filter(({ kind }) => kind.isFolder).map(({ sink }) => sink.uri)
  const checkpoint = options.checkpoint ?? pipeline.checkpoint
  const written = await examineWritable(components, 'checkpoint', checkpoint, '')
  const fit = await examineFit(components, pipeline, checkpoint)
  const findings: Finding[] = [
    about('pipeline')('ok', `${pipeline.name} binds, with ${showCounted(flows.length, 'flow')}`),
    ...judgeEndless(terminals),
  ]
  const found = await attempt('input', async () => inputsOf(definitions, lookups, options.input))
  const { inputs, tables } = 'is' in found ? { inputs: [], tables: [] } : found
  if ('is' in found) findings.push(found)
  const seen: SeenSource[] = []
  for (const { definition, input } of inputs) {
    const counted = (fit.held?.epoch ?? 0) > 0 ? checkpoint : undefined
    const examined = await examineInput(components, definition, input, counted)
    if (examined.versions) seen.push({ definition, versions: examined.versions })
    const own = [
      // Rows that pass through wait for nothing.
      ...(flows.some(({ state }) => state !== null) ? judgeWatermark(definition.settings) : []),
      ...examined.findings,
      ...(await examineAfter(components, pipeline, definition, input, [
        [checkpoint, 'the checkpoint'],
        ...outputs.map(output => [output, 'the output'] as const),
      ])),
    ]
    findings.push(...ofSource(definitions, definition, own))
  }
  findings.push(...judgeWaiting(terminals, seen))
  for (const { lookup, input } of tables) findings.push(await examineLookup(components, lookup, input))
  findings.push(...written, ...fit.findings)
  if ('is' in placed) findings.push(placed)
  findings.push(...(await examineSinks(components, pipeline, ends, fit.held)))
  for (const { definition, input } of inputs)
    findings.push(...ofSource(definitions, definition, await examineNotifications(components, definition, input)))
  return findings
}

/** Where the objects of each source and of each lookup lie. */
function inputsOf(
  definitions: readonly SourceDefinition[],
  lookups: readonly LookupDefinition[],
  given: Places | undefined,
) {
  const others = inputsGiven(given, { definitions, lookups })
  return {
    inputs: definitions.map(definition => ({
      definition,
      input: others[definition.settings.name] ?? definition.objects,
    })),
    tables: lookups.map(lookup => ({ lookup, input: others[lookup.settings.name] ?? lookup.objects })),
  }
}

/** Reads the table as a start would. */
async function examineLookup(components: Components, lookup: LookupDefinition, address: string): Promise<Finding> {
  const { name } = lookup.settings
  const read = await attempt('input', () => tryLookup(components, lookup, address))
  if ('is' in read) return read
  const rows = showCounted(read.rows, 'row')
  return about('input')(
    'ok',
    `lookup ${name}: ${rows} in ${showCounted(read.objects, 'object')}, each with a key of its own`,
  )
}

/** Of several sources each finding says which one it is of. */
function ofSource(
  { length }: readonly SourceDefinition[],
  { settings: { name } }: SourceDefinition,
  findings: readonly Finding[],
): readonly Finding[] {
  const at = `source ${name}`
  if (length === 1) return findings
  return findings.map(found => (found.message.includes(at) ? found : { ...found, message: `${at}: ${found.message}` }))
}

/** Does the work; what it throws is the problem. */
async function attempt<T extends object>(check: string, work: () => Promise<T>): Promise<T | Finding> {
  try {
    return await work()
  } catch (error) {
    return about(check)('problem', errorMessage(error))
  }
}

/** @param checkpoint that of this pipeline, if it has an epoch: what its ledger holds is not new */
async function examineInput(
  components: Components,
  definition: SourceDefinition,
  address: string,
  checkpoint: string | undefined,
): Promise<{ readonly findings: readonly Finding[]; readonly versions?: readonly ObjectVersion[] }> {
  const format = formatOf(definition.settings, definition.policies, components.formats)
  const suffixes = suffixesOf(format, definition.keys)
  const found = await attempt('input', async () => {
    const place = await components.findInput(address, 'objects')
    const store = await components.openInput(place.root, 'objects', linksOf(place, definition.keys))
    const kindOf = createKindOf(place, format, definition.keys)
    const ignored: Counts<Ignored> = {}
    const ignore = (kind: Unread, key: string) => {
      if (kind !== 'foreign-key') countKey(ignored, kind, key)
    }
    const versions: ObjectVersion[] = []
    let isCut = false
    const all = store.list('', undefined, undefined, key => ignore(kindOfLink(kindOf, key), key))
    for await (const version of all) {
      if (versions.length + countOf(ignored) >= keysMax) {
        isCut = true
        break
      }
      const kind = kindOf(version.key)
      if (kind === 'object') versions.push(version)
      else ignore(kind, version.key)
    }
    return { seen: { ignored, isCut, matched: versions.length }, versions, store }
  })
  if ('is' in found) return { findings: [found] }
  const { seen, versions, store } = found
  const known =
    checkpoint === undefined
      ? undefined
      : await attempt('checkpoint', () => lookUp(components, checkpoint, definition.settings.name, versions))
  if (known && 'is' in known) return { findings: [judgeInput(seen, suffixes), known], versions }
  const fresh = versions.filter(version => known?.get(version)?.isSettled !== true)
  const isOverwriting = (version: ObjectVersion) => known?.get(version)?.overwrites === true
  const next = fresh.find(version => !isOverwriting(version))
  const version = next ?? versions[0]
  const place = known && next ? 'the first that is new' : 'the first'
  const findings = [
    judgeInput(known ? { ...seen, fresh: fresh.length } : seen, suffixes),
    ...judgePeriods(definition.settings, versions),
    ...judgeOverwriting(definition, fresh.filter(isOverwriting)),
    ...(version ? [await examineObject(components, definition, { store, version, place })] : []),
  ]
  return { findings, versions }
}

/** What the ledger says of these; nothing of those whose key it does not hold. */
async function lookUp(
  components: Components,
  address: string,
  source: string,
  versions: readonly ObjectVersion[],
): Promise<ReadonlyMap<ObjectVersion, Known>> {
  return withExecutor(async (executor, stage) => {
    const { checkpoint, head } = await readCheckpoint(components, address, 'checkpoint', stage)
    await createLedgerTable(executor, 'ledger')
    const reader = { checkpoint, manifest: head.manifest, stage, newId: randomUUID }
    await loadLedger(reader, executor, 'ledger')
    const identities = await createIdentities(executor, source, 'identities')
    const known = new Map<ObjectVersion, Known>()
    for (let at = 0; at < versions.length; at += lookedUpAtOnce)
      for (const [version, is] of await identities.lookUp(versions.slice(at, at + lookedUpAtOnce)))
        known.set(version, is)
    return known
  })
}

/** @param work gets DuckDB, and a folder for files that are dropped with it */
async function withExecutor<T>(work: (executor: Executor, stage: string) => Promise<T>): Promise<T> {
  const session = await openSession({})
  try {
    return await work(await session.executor(new AbortController().signal), session.stage)
  } finally {
    await session.close()
  }
}

/**
 * Opens one object: listing and reading are two permissions, and a format and columns that bind may not be those of the
 * objects.
 */
async function examineObject(
  components: Components,
  definition: SourceDefinition,
  { store, version, place }: { readonly store: ObjectStore; readonly version: ObjectVersion; readonly place: string },
): Promise<Finding> {
  if (version.sizeBytes > openedBytesMax) {
    const read = await attempt('input', async () => ({ got: await store.get(version.key, { range: [0, 1] }) }))
    if ('is' in read) return read
    const message =
      `object '${version.key}', ${place}, may be read; ` +
      `it is too large (${showBytes(version.sizeBytes)}) to look at its columns here`
    return about('input')('unknown', message)
  }
  const tried = await attempt('input', () => tryObject(components, definition, store, version))
  return 'is' in tried ? tried : judgeObject(definition.settings.name, `object '${version.key}', ${place}`, tried)
}

async function examineWritable(
  components: Components,
  what: 'checkpoint' | 'output',
  address: string,
  prefix: string,
): Promise<readonly Finding[]> {
  const judge = about(what)
  const probed = await attempt(what, async () => {
    const store = await components.openWritable(address, what)
    await probeStore({ store, newId: randomUUID, prefix })
    return { address: store.address }
  })
  if ('is' in probed) return [probed]
  const kept = isS3Address(address) ? await attempt(what, () => bucketOf(address, what)) : undefined
  return [
    judge('ok', `${probed.address} can be written, and keeps conditional writes`),
    ...(kept === undefined ? [] : 'is' in kept ? [kept] : judgeKeeping(what, kept)),
  ]
}

interface HeldCheckpoint {
  readonly checkpointId: string
  readonly epoch: number
}

/** Whether what becomes of objects can be done to them, and where they would go to. */
async function examineAfter(
  components: Components,
  { name }: Pipeline,
  { after, settings, keys }: SourceDefinition,
  address: string,
  written: AfterPlaces['written'],
): Promise<readonly Finding[]> {
  if (after.is === 'keep') return []
  const found = await attempt('after', async () => {
    const place = await components.findInput(address, 'objects')
    await checkAfter(after, { source: settings.name, input: place.root, written })
    const store = await components.openInput(place.root, 'objects', linksOf(place, keys))
    const to = await openAfterPlace(after, settings.name, store, components)
    if (to) await probeStore({ store: to, newId: randomUUID, prefix: outputPrefix })
    const bucket = isS3Address(place.root) ? await bucketOf(place.root, 'objects') : undefined
    return { root: place.root, bucket }
  })
  return 'is' in found ? [found] : judgeAfter(after, name, found)
}

/**
 * Whether the pipeline is still the one that the checkpoint was written by; what is there, unless that is a problem.
 */
async function examineFit(
  components: Components,
  pipeline: Pipeline,
  address: string,
): Promise<{ readonly findings: readonly Finding[]; readonly held?: HeldCheckpoint }> {
  const found = await attempt('checkpoint', async () => {
    // Nothing is loaded but HEAD, so nothing is written there.
    const held = await findCheckpoint(components, address, 'checkpoint', tmpdir())
    if (!held) return { checkpointId: '(new)', epoch: 0, waiting: 0, totals: noTotals, kept: [] }
    checkOpen(held.head.manifest, held.address)
    await withExecutor(executor => checkPipeline(held.head.manifest, pipeline, held.address, executor))
    const { manifest } = held.head
    const { checkpointId, epoch } = manifest
    const kept = keptForLate(storedPlan(manifest.engine.plan), manifest)
    return { checkpointId, epoch, waiting: waitingFor(manifest, 'rows').length, totals: totalsOf(manifest), kept }
  })
  if ('is' in found) return { findings: [found] }
  const { epoch, waiting, totals, kept } = found
  const more = waiting === 0 ? '' : `; ${showCounted(waiting, 'epoch')} of rows to hand over at the next start`
  const fits = about('checkpoint')('ok', `epoch ${epoch} of this pipeline${more}`)
  return { findings: epoch === 0 ? [] : [fits, ...judgeSetAside(totals), ...judgeRetention(kept)], held: found }
}

/** Whether the results can go where they are to go: what a run would be refused, as another checkpoint's (P8). */
async function examineSinks(
  components: Components,
  pipeline: Pipeline,
  ends: readonly SinkEnd[],
  held: HeldCheckpoint | undefined,
): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  const seen = new Set<string>()
  for (const end of ends) {
    const { kind, sink } = end
    const at = `${sink.sink} ${sink.uri}`
    if (seen.has(at)) continue
    seen.add(at)
    if (kind.isFolder) {
      const probed = await examineWritable(components, 'output', sink.uri, outputPrefix)
      findings.push(...probed)
      if (probed[0]?.is !== 'ok') continue
    }
    if (held === undefined) continue
    const checked = await attempt('output', async () => {
      const opened = await openSink(end, held, pipeline.name, components)
      await opened.check(held.epoch === 0)
      return opened
    })
    if ('is' in checked) {
      findings.push(checked)
      continue
    }
    if (!kind.isFolder) findings.push(about('output')('ok', `${checked.address} can take the results`))
    const examined = await attempt('output', async () => ({ findings: (await checked.examine?.()) ?? [] }))
    findings.push(...('is' in examined ? [examined] : examined.findings))
  }
  return findings
}

async function examineNotifications(
  components: Components,
  { notifications, settings, policies, keys, miniBatch }: SourceDefinition,
  address: string,
): Promise<readonly Finding[]> {
  if (!notifications) return []
  const suffixes = suffixesOf(formatOf(settings, policies, components.formats), keys)
  const found = await attempt('notifications', async () => {
    const field = `source ${settings.name}: notifications`
    const { describe, judge } = connectorOf(notifications, field, components.connectors)
    const { root } = await components.findInput(address, 'objects')
    const { bucket } = parseS3Address(root, 'objects')
    const context = { bucket, everyMs: miniBatchLimits(miniBatch, 'miniBatch').everyMs }
    return { root, judged: judge(notifications, await describe(notifications), context) }
  })
  if ('is' in found) return [found]
  const { findings, target } = found.judged
  if (!target) return findings
  const facts = await attempt('notifications', () => bucketOf(found.root, 'objects'))
  return [...findings, ...('is' in facts ? [facts] : judgeAnnouncements({ facts, suffixes, target }))]
}
