import type { EngineState, Manifest } from '../../../checkpoints/types.ts'
import { MillraceError } from '../../core/errors.ts'
import { type Json, plainJson } from '../../core/json.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import { type ClockShape, type Clocks, advanceClock, latest } from '../../plan/clock.ts'
import type { WaitingFile } from '../../core/sink-port.ts'
import type { LookupVersion } from '../../plan/lookup.ts'
import { type StoredPlan, storedPlan, writtenOptions } from '../../plan/stored-plan.ts'
import { type WatermarkState, beginning } from '../../plan/watermark.ts'
import { duckdb, sessionSettings } from '../duckdb/session.ts'
import { type ColumnsSeen, columnsSeenJson } from '../read/columns-seen.ts'
import type { Totals } from '../report/summary.ts'
import type { Due } from './due.ts'
import { type LateNamed, lateNamedFrom, lateNamedJson } from './late-named.ts'
import { watermarkFrom, watermarkJson } from './ledger.ts'
import type { RetryRequest } from './retry-request.ts'
import { noTotals } from './totals.ts'

/** Where the ledger stands: the next sequence number, the watermark of each source, and the clock of each stage. */
export interface LedgerPosition {
  readonly nextSeq: number
  /** By name. A source without any entry stands at the beginning. */
  readonly sources: Readonly<Record<string, WatermarkState>>
  readonly clocks: Clocks
  /** By name: the last version of each lookup. */
  readonly lookups: Readonly<Record<string, LookupVersion>>
}

/** What a new checkpoint begins with. */
export function initialState(plan: StoredPlan): EngineState {
  return engineState(
    plan,
    {
      outputs: {},
      outputColumns: {},
      changeKeys: {},
      correctionKeys: {},
      closesAt: {},
      openWindows: {},
      living: {},
      sources: {},
      sealed: false,
      retry: null,
      applyLate: [],
      held: {},
      snapshots: {},
    },
    { sources: {}, nextSeq: 1, clocks: {}, lookups: {} },
    [],
    noTotals,
  )
}

/** What the manifest remembers of a flow whose rows are held. */
export interface HeldRecord {
  /** When the first of those that wait now was committed, in ms since 1970; null where none waits. */
  readonly sinceMs: number | null
  /** What a row took in the files that were written last; null before the first. */
  readonly bytesPerRow: number | null
}

export type HeldRecords = Readonly<Record<string, HeldRecord>>

/** What the manifest remembers of a flow's snapshots. */
export interface SnapshotRecord {
  /** The epoch of the last one; 0 before the first. */
  readonly epoch: number
  /** When it was committed, in ms since 1970. */
  readonly atMs: number | null
  readonly file: WaitingFile | null
  /** The one before it, which somebody may still read. */
  readonly earlier: string | null
  /** Whether results have changed since. */
  readonly isBehind: boolean
}

export type SnapshotRecords = Readonly<Record<string, SnapshotRecord>>

/** What readers of the checkpoint need beside the plan. */
export interface EngineRecords {
  /** Address of each flow's output at the last commit. */
  readonly outputs: Readonly<Record<string, string>>
  /** Per flow with an output: its columns, name to SQL type. JSON does not say them. */
  readonly outputColumns: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Per flow whose rows are changes: the columns that tell its results apart. */
  readonly changeKeys: Readonly<Record<string, readonly string[]>>
  /** The same per flow whose results were given and may change by late rows. */
  readonly correctionKeys: Readonly<Record<string, readonly string[]>>
  /** Per state table: SQL over its rows, the watermark from which they are dead. */
  readonly closesAt: Readonly<Record<string, string>>
  /**
   * Per state table whose rows live with others: SQL over `partials`, its rows; what of them lives, as far as they tell
   * by themselves. `closesAt` does not have these.
   */
  readonly living: Readonly<Record<string, string>>
  /** Per main state table: SQL over `partials`, its rows; a row for each window that the commit leaves open. */
  readonly openWindows: Readonly<Record<string, string>>
  /** By name of the source. */
  readonly sources: Readonly<Record<string, SourceRecords>>
  /** A final flush was written: nothing may follow. */
  readonly sealed: boolean
  /** Objects that are to be read again before anything new. */
  readonly retry: RetryRequest | null
  /** Late rows that are to be applied before anything new, each request by an entry of its own. */
  readonly applyLate: readonly LateNamed[]
  /** By flow whose rows have been held. */
  readonly held: HeldRecords
  /** By flow that has snapshots of its latest results. */
  readonly snapshots: SnapshotRecords
}

/** What is on record of one source. */
export interface SourceRecords {
  /** What announces its objects keeps this (Kafka's offsets). */
  readonly positions: Json
  /** While history is being recorded as skipped: what was last modified by then is history, in ms since 1970. */
  readonly historyToMs: number | null
  /** Which columns the objects have had; null where none has told, and in what earlier releases wrote. */
  readonly columnsSeen: ColumnsSeen | null
  /** How far objects are due for what `after` says; null where it has no delay. */
  readonly due: Due | null
}

/** The records that one commit hands to the next. */
export type KeptRecords = Pick<EngineRecords, 'sources' | 'sealed' | 'retry' | 'applyLate' | 'held' | 'snapshots'>

/** What an epoch changes of them; of a source what it names. */
export type ChangedRecords = Partial<Omit<KeptRecords, 'sources'>> & {
  readonly sources?: Readonly<Record<string, Partial<SourceRecords>>>
}

/** What the engine keeps in a manifest, as this release or an earlier one wrote it. */
export type StoredSettings = Partial<Omit<EngineRecords, 'applyLate'>> /** Since format 7. */ & {
  readonly applyLate?: readonly Json[]
} /** Up to format 5: of the one source. `positions` stood beside the settings then. */ & Partial<
    Omit<SourceRecords, 'positions'>
  > & {
    /** Version. */
    readonly duckdb: string
    readonly attempt?: Attempt | null
  }

export function settingsOf({ engine }: Pick<Manifest, 'engine'>): StoredSettings {
  return engine.settings as unknown as StoredSettings
}

/** The manifest with these of the engine's settings, as JSON; undefined leaves one out. */
export function withSettings(manifest: Manifest, changed: Readonly<Record<string, Json | undefined>>): Manifest {
  const all = Object.entries({ ...(manifest.engine.settings as object), ...changed })
  const settings = Object.fromEntries(all.filter(([, value]) => value !== undefined)) as Json
  return { ...manifest, engine: { ...manifest.engine, settings } }
}

type WatermarkJson = ReturnType<typeof watermarkJson>

/** By source. */
export function watermarksOf({ engine }: Pick<Manifest, 'engine'>): Readonly<Record<string, WatermarkJson>> {
  return engine.watermarks as Readonly<Record<string, WatermarkJson>>
}

export function engineRecords({ engine }: Manifest): KeptRecords {
  const settings = settingsOf({ engine })
  const { sealed, sources, retry, applyLate, held, snapshots } = settings
  return {
    sources: sources ? changedSources({}, sources) : sourcesBefore(engine, settings),
    sealed: sealed === true,
    retry: retry ?? null,
    applyLate: applyLate?.map(lateNamedFrom) ?? [],
    held: held ?? {},
    snapshots: snapshots ?? {},
  }
}

/** As it was written up to format 5, where there was one source. */
function sourcesBefore(
  { plan, positions }: EngineState,
  { historyToMs = null, columnsSeen = null, due = null }: StoredSettings,
): EngineRecords['sources'] {
  const source = plan === undefined ? undefined : storedPlan(plan).nodes.find(({ op }) => op === 'source')
  if (!source) return {}
  const { name } = writtenOptions(source) as unknown as { readonly name: string }
  return { [name]: { positions, historyToMs, columnsSeen, due } }
}

const nothingRecorded: SourceRecords = { positions: null, historyToMs: null, columnsSeen: null, due: null }

export function sourceRecords(manifest: Manifest, source: string): SourceRecords {
  return engineRecords(manifest).sources[source] ?? nothingRecorded
}

/** The records of sources with what has changed of them. */
export function changedSources(
  before: EngineRecords['sources'],
  changed: NonNullable<ChangedRecords['sources']>,
): EngineRecords['sources'] {
  const all = Object.entries(changed).map(([name, records]) => [
    name,
    { ...(before[name] ?? nothingRecorded), ...records },
  ])
  return { ...before, ...Object.fromEntries(all) }
}

/** The manifest with these records of a source. */
export function withSource(manifest: Manifest, source: string, changed: Partial<SourceRecords>): Manifest {
  const sources = changedSources(engineRecords(manifest).sources, { [source]: changed })
  return withSettings(manifest, { sources: sourcesJson(sources) })
}

function sourcesJson(sources: EngineRecords['sources']): Json {
  return Object.fromEntries(
    Object.entries(sources).map(([name, { positions, historyToMs, columnsSeen, due }]) => [
      name,
      {
        ...(positions === null ? {} : { positions }),
        ...(historyToMs === null ? {} : { historyToMs }),
        ...(columnsSeen && { columnsSeen: columnsSeenJson(columnsSeen) }),
        ...(due && { due: dueJson(due) }),
      },
    ]),
  )
}

export function dueJson({ seq, marks }: Due): Json {
  return { seq, marks: marks.map(mark => ({ ...mark })) }
}

export function engineState(
  plan: StoredPlan,
  { sources, retry, applyLate, held, living, changeKeys, correctionKeys, snapshots, ...records }: EngineRecords,
  position: LedgerPosition,
  shapes: readonly ClockShape[],
  totals: Totals,
): EngineState {
  const clocks = clocksJson(position, shapes)
  return {
    plan: plan as unknown as Json,
    settings: {
      duckdb,
      session: sessionSettings,
      ...records,
      ...(Object.keys(living).length > 0 && { living }),
      ...(Object.keys(changeKeys).length > 0 && { changeKeys }),
      ...(Object.keys(correctionKeys).length > 0 && { correctionKeys }),
      retry: retry && { ...retry },
      ...(applyLate.length > 0 && { applyLate: applyLate.map(lateNamedJson) }),
      sources: sourcesJson(sources),
      ...(Object.keys(held).length > 0 && { held: plainJson(held) }),
      ...(Object.keys(snapshots).length > 0 && { snapshots: plainJson(snapshots) }),
    },
    nextSeq: position.nextSeq,
    watermarks: Object.fromEntries(
      Object.entries(position.sources).map(([source, state]) => [source, watermarkJson(state)]),
    ),
    ...(clocks === undefined ? {} : { clocks }),
    positions: null,
    totals: { ...totals },
  }
}

/** Where the checkpoint's ledger stands for these sources and these stages. */
export function positionOf(
  manifest: Manifest,
  sources: readonly string[],
  shapes: readonly ClockShape[],
  lookups: LedgerPosition['lookups'] = {},
): LedgerPosition {
  const { nextSeq, clocks } = manifest.engine
  const found = watermarksOf(manifest)
  const states = sources.map(name => [name, found[name] ? watermarkFrom(found[name]) : beginning] as const)
  const position = { nextSeq, sources: Object.fromEntries(states), lookups }
  return { ...position, clocks: clocks === undefined ? following(position, shapes) : clocksFrom(clocks) }
}

/** The watermark of each source. */
export function sourceClocks({ sources }: Pick<LedgerPosition, 'sources'>): Clocks {
  return Object.fromEntries(Object.entries(sources).map(([name, { watermarkUs }]) => [name, watermarkUs]))
}

/** The highest event time that any source has had: what a flush goes by (S6). */
export function highMarkOf({ sources }: Pick<LedgerPosition, 'sources'>): bigint | null {
  return Object.values(sources).reduce<bigint | null>((high, { highMarkUs }) => latest(high, highMarkUs), null)
}

/** The clocks of stages that no flush has moved by themselves: they follow from the watermarks of the sources. */
export function following(position: Pick<LedgerPosition, 'sources'>, shapes: readonly ClockShape[]): Clocks {
  const sources = sourceClocks(position)
  const clocks: Record<string, bigint | null> = {}
  for (const shape of shapes) clocks[shape.id] = advanceClock(shape, null, sources, clocks)
  return clocks
}

export function clocksJson(position: LedgerPosition, shapes: readonly ClockShape[]): Json | undefined {
  const derived = following(position, shapes)
  const isFollowing = Object.keys(position.sources).length <= 1
  if (isFollowing && shapes.every(({ id }) => (position.clocks[id] ?? null) === derived[id])) return undefined
  return Object.fromEntries(shapes.map(({ id }) => [id, position.clocks[id]?.toString() ?? null]))
}

export function clocksFrom(json: Json): Clocks {
  const texts = Object.entries(json as Record<string, string | null>)
  return Object.fromEntries(texts.map(([id, us]) => [id, us === null ? null : BigInt(us)]))
}

/**
 * A stage's watermark at a commit, for readers that bind no plan: its own, or that of the one source, which it follows.
 *
 * @param state the key of one of its state tables
 */
export function watermarkOfState({ engine }: Manifest, state: string): bigint | null {
  const [stage = state] = state.split('-')
  if (engine.clocks !== undefined) return clocksFrom(engine.clocks)[stage] ?? null
  const [mark] = Object.values(watermarksOf({ engine }))
  return mark === undefined ? null : watermarkFrom(mark).watermarkUs
}

/** Refuses a checkpoint that was sealed by a final flush (S6), unless rows of it are still to go out. */
export function checkOpen(manifest: Manifest, address: string): void {
  if (engineRecords(manifest).sealed && manifest.unpublished.length === 0)
    throw new MillraceError(
      'user',
      'sealed',
      `The checkpoint ${address} is sealed: a backfill with --final closed every window in epoch ` +
        `${manifest.epoch}, and what comes later would be late. Use a new checkpoint and output folder.`,
    )
}

export function withRetry(manifest: Manifest, retry: RetryRequest | null): Manifest {
  return withSettings(manifest, { retry: retry && { ...retry } })
}

export function retryOf(manifest: Manifest): RetryRequest | null {
  return engineRecords(manifest).retry
}

export function withApplyLate(manifest: Manifest, asked: readonly LateNamed[]): Manifest {
  return withSettings(manifest, { applyLate: asked.length > 0 ? asked.map(lateNamedJson) : undefined })
}

/**
 * What HEAD says of an epoch in which processes died (P13). It is written only by a start that finds the checkpoint not
 * released, so an epoch of a healthy run stays one write.
 */
export interface Attempt {
  /** The epoch that was to be committed. */
  readonly epoch: number
  /** Deaths before its commit, in a row. */
  readonly deaths: number
  /** Objects of the mini-batch under way, from `carefulAfter` deaths on: then nothing else is read beside it. */
  readonly objects: number | null
  /** Objects among which the one that kills is sought. */
  readonly left: number | null
  /** The object under way where it is alone. Records of earlier releases name no source. */
  readonly alone: (Pick<ObjectVersion, 'bucket' | 'key' | 'eTag'> & { readonly source?: string }) | null
}
