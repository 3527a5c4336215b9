import type { Components } from './components.ts'
import type { Admitted, Listed, MiniBatches } from './intake/admit.ts'
import { isAgain } from './intake/again.ts'
import { type FeedLedger, isHistorySkipped } from './intake/feed.ts'
import { inTurn } from './intake/in-turn.ts'
import type { Intake } from './intake/intake.ts'
import { createLiveSource, type LiveSource } from './live-source.ts'
import type { Run } from './open-run.ts'
import type { FollowOptions } from './options.ts'
import { addIgnored } from './report/ignored-keys.ts'
import type { ChangedRecords } from './state/engine-state.ts'

/** The sources of a run that are followed, each by itself. Their mini-batches make one order. */
export interface LiveSources {
  readonly batches: MiniBatches
  /** What all of them hold and have taken in. */
  readonly intake: Pick<Intake, 'inHand' | 'admitted'>
  readonly each: readonly Pick<LiveSource, 'name' | 'intake' | 'notifications'>[]
  /** What listings have shown. */
  readonly listed: Listed
  /** Nothing is left of what was there, in any of them. */
  readonly isIdle: boolean
  /** What the commit of a mini-batch records of each source. Asked once, just before. */
  recordsOf(batch: readonly Admitted[], gone: ReadonlySet<Admitted>): NonNullable<ChangedRecords['sources']>
  /** The mini-batch is committed. */
  committed(batch: readonly Admitted[], gone: ReadonlySet<Admitted>): void
  open(): Promise<void>
  begin(): void
  /** Takes nothing more. */
  drain(): void
  end(): Promise<void>
}

export async function createLiveSources(
  parts: Components,
  run: Run,
  options: FollowOptions,
  ledger: FeedLedger,
): Promise<LiveSources> {
  const all: LiveSource[] = []
  const isFirstStart = run.claim.position.nextSeq === 1
  const skips = (name: string) => isHistorySkipped({ options, isFirstStart, ledger }, name)
  const others = {
    isFirstStart,
    historyBegun: allOf([...run.sources.keys()].filter(skips)),
    busySources: () => all.filter(({ isBusy }) => isBusy).map(({ name }) => name),
    onIdle() {
      if (all.every(({ isIdle }) => isIdle)) run.onEvent({ is: 'idle' })
    },
  }
  for (const source of run.sources.values())
    all.push(await createLiveSource(parts, run, source, options, ledger, others))
  /** By name of the source: objects that were committed, or are about to be. */
  const taken = new Map<string, number>()
  const withEach = async (work: (live: LiveSource) => Promise<void>) => void (await Promise.all(all.map(work)))
  return {
    batches: inTurn(all.map(({ intake }) => intake)),
    intake: intakeOfAll(all),
    each: all,
    get listed() {
      return listedByAll(all)
    },
    get isIdle() {
      return all.every(({ isIdle }) => isIdle)
    },
    recordsOf(batch, gone) {
      const records = all.map(live => [live.name, recordsOf(live, ofSource(batch, live), gone, ledger, taken)])
      return Object.fromEntries(records) as NonNullable<ChangedRecords['sources']>
    },
    committed(batch, gone) {
      for (const live of all) {
        const own = ofSource(batch, live)
        if (own.length > 0) live.intake.committed(own, gone)
      }
    },
    open: () => withEach(live => live.open()),
    begin() {
      for (const live of all) live.begin()
    },
    drain() {
      for (const { intake } of all) intake.end()
    },
    end: () => withEach(live => live.end()),
  }
}

/** Told each of them once, resolves when all are told. */
function allOf(names: readonly string[]): (name: string) => Promise<void> {
  const left = new Set(names)
  let resolve = () => {}
  const all = new Promise<void>(told => (resolve = told))
  return name => {
    left.delete(name)
    if (left.size === 0) resolve()
    return all
  }
}

/** Entries of this source. */
function ofSource(batch: readonly Admitted[], { name }: LiveSource): readonly Admitted[] {
  return batch.filter(entry => (entry.is === 'object' || entry.is === 'tick') && entry.source === name)
}

function recordsOf(
  { name, intake, notifications, historyObjects }: LiveSource,
  batch: readonly Admitted[],
  gone: ReadonlySet<Admitted>,
  ledger: FeedLedger,
  taken: Map<string, number>,
): NonNullable<ChangedRecords['sources']>[string] {
  const positions = notifications?.positionsAfter(intake.settledBy(batch, gone))
  const objects = (taken.get(name) ?? 0) + batch.filter(entry => entry.is === 'object' && !isAgain(entry)).length
  taken.set(name, objects)
  const { historyToMs } = ledger.recordsOf(name)
  const isHistoryDone = historyToMs !== null && historyObjects !== undefined && objects >= historyObjects
  return { ...(positions === undefined ? {} : { positions }), ...(isHistoryDone ? { historyToMs: null } : {}) }
}

function intakeOfAll(all: readonly LiveSource[]): LiveSources['intake'] {
  return {
    get inHand() {
      const held = all.map(({ intake }) => intake.inHand)
      const since = held.flatMap(({ sinceMs }) => sinceMs ?? [])
      return {
        objects: held.reduce((sum, { objects }) => sum + objects, 0),
        sinceMs: since.length === 0 ? undefined : Math.min(...since),
      }
    },
    get admitted() {
      return {
        objects: all.reduce((sum, { intake }) => sum + intake.admitted.objects, 0),
        bytes: all.reduce((sum, { intake }) => sum + intake.admitted.bytes, 0),
      }
    },
  }
}

function listedByAll(all: readonly LiveSource[]): Listed {
  const listed = all.map(live => live.listed)
  const sum = (of: (one: Listed) => number) => listed.reduce((total, one) => total + of(one), 0)
  return {
    objects: sum(({ objects }) => objects),
    bytes: sum(({ bytes }) => bytes),
    ignored: listed.map(({ ignored }) => ignored).reduce(addIgnored, {}),
    matched: sum(({ matched }) => matched),
    leftOut: sum(({ leftOut }) => leftOut),
    withoutPeriod: listed.flatMap(({ withoutPeriod }) => withoutPeriod),
  }
}
