import { stagesOf } from '../plan/stages.ts'
import type { Committer } from './commit/committer.ts'
import type { Ready } from './fold/run-ahead.ts'
import type { Listed } from './intake/admit.ts'
import type { OpenSource } from './intake/source.ts'
import type { Run } from './open-run.ts'
import { nextWindow } from './next-window.ts'
import { outputAddress, sinksOf } from './publish/outputs.ts'
import { goneFields } from './read/columns-seen.ts'
import type { MarkedObject } from './read/marked-object.ts'
import { nullColumns } from './read/never-seen.ts'
import type { Outcome } from './read/outcome.ts'
import type { EpochOfSource, LateRows, RunEvent } from './report/events.ts'
import { countOf } from './report/ignored-keys.ts'
import { iso } from './report/iso.ts'
import type { EpochResult, FarAhead, HeldGroups, SetAside, Summary } from './report/summary.ts'
import { type WindowFacts, windowText } from './report/why.ts'
import { highMarkOf, sourceClocks } from './state/engine-state.ts'
import { eachPart } from './state/channels.ts'
import { openWindowsOf, partialsSql, stateTables } from './state/state.ts'
import { totalsOf } from './state/totals.ts'

/** What a run has done so far. */
export interface Done {
  objects: number
  rows: number
  bytes: number
  late: number
  quarantinedRows: number
  rescuedRows: number
  outsideBounds: number
  epochs: number
  delivered: number
  setAsideObjects: number
  /** The first of them: a run may follow its source for years. */
  readonly setAside: SetAside[]
}

export function nothingDone(): Done {
  return {
    objects: 0,
    rows: 0,
    bytes: 0,
    late: 0,
    quarantinedRows: 0,
    rescuedRows: 0,
    outsideBounds: 0,
    epochs: 0,
    delivered: 0,
    setAsideObjects: 0,
    setAside: [],
  }
}

/** Objects that were set aside that a run names at its end. */
const namedMax = 1_000

/** Counts a committed mini-batch. */
export function addDone(done: Done, { stamped }: Ready, result: EpochResult): void {
  done.epochs++
  done.late += result.late
  for (const { marked } of stamped.objects) {
    done.objects++
    done.rows += marked.rows
    done.quarantinedRows += marked.quarantinedRows
    done.rescuedRows += marked.rescuedRows ?? 0
    done.outsideBounds += marked.outsideBounds
    done.bytes += marked.version.sizeBytes
    const aside = setAside(marked)
    done.setAsideObjects += aside.length
    if (done.setAside.length < namedMax) done.setAside.push(...aside)
  }
}

function setAside({ version, reason }: MarkedObject): readonly SetAside[] {
  return reason === null ? [] : [{ key: version.key, reason }]
}

/** Objects that an event names. */
const setAsideMax = 100

/** A committed mini-batch as an event. */
export function epochEvent({ stamped, partials, begunMs }: Ready, result: EpochResult, nowMs: number): RunEvent {
  const objects = stamped.objects.map(({ marked }) => marked)
  const having = (outcome: Outcome) => objects.filter(object => object.outcome === outcome).length
  return {
    is: 'epoch',
    result,
    tookMs: nowMs - begunMs,
    bytes: objects.reduce((sum, { version }) => sum + version.sizeBytes, 0),
    sources: bySource(objects),
    quarantined: having('quarantined'),
    skipped: having('skipped'),
    gone: having('gone'),
    suspect: having('suspect'),
    quarantinedRows: objects.reduce((sum, { quarantinedRows }) => sum + quarantinedRows, 0),
    badRows: partials.aside?.reasons ?? [],
    lateRows: lateRows(partials, result.late),
    ...(partials.aside && { firstBadRow: partials.aside.first }),
    setAside: objects.flatMap(setAside).slice(0, setAsideMax),
  }
}

/** What is late beyond rows of objects are results: a step gave them, and one behind it has closed their window. */
function lateRows({ lateReasons }: Pick<Ready['partials'], 'lateReasons'>, late: number): readonly LateRows[] {
  const own = [...lateReasons].map(([reason, rows]): LateRows => ({ reason, rows, object: null }))
  const rest = late - own.reduce((sum, { rows }) => sum + rows, 0)
  return rest > 0
    ? [...own, { reason: 'results of a step, late for the one behind it', rows: rest, object: null }]
    : own
}

function bySource(objects: readonly MarkedObject[]): readonly EpochOfSource[] {
  return [...new Set(objects.map(({ source }) => source))].map(source => {
    const own = objects.filter(object => object.source === source)
    return {
      source,
      objects: own.length,
      rows: own.reduce((sum, { rows }) => sum + rows, 0),
      bytes: own.reduce((sum, { version }) => sum + version.sizeBytes, 0),
    }
  })
}

const farAheadMax = 100

/** What a run did, and what its checkpoint holds at the end. */
export async function summarise(
  run: Run,
  committer: Committer,
  done: Done,
  { listed, isDrained, seconds }: { readonly listed: Listed; readonly isDrained: boolean; readonly seconds: number },
): Promise<Summary> {
  return {
    pipeline: run.pipeline.name,
    checkpoint: run.claim.address,
    outputs: sinksOf(run.outputs).map(({ sink }) => sink.address),
    totals: totalsOf(committer.manifest),
    outputFiles: await outputFiles(run, committer),
    run: {
      ...done,
      seconds,
      ignored: countOf(listed.ignored),
      ignoredBy: listed.ignored,
      matched: listed.matched,
      leftOut: listed.leftOut,
      withoutPeriod: listed.withoutPeriod,
      lookups: run.lookupTables.read,
      nullColumns: ofSources(run, (source, { fetch }) =>
        nullColumns(fetch.neverSeen).map(column => ({ source, column })),
      ),
      newColumns: committer.newColumns,
      goneFields: ofSources(run, source =>
        done.rows > 0 ? goneFields(committer.recordsOf(source).columnsSeen).map(field => ({ source, ...field })) : [],
      ),
      isReplay: run.isReplay,
      drained: isDrained,
    },
    ...(await openIn(run, committer)),
    ...watermarks(committer),
    next: await nextOf(run, committer),
    undelivered: committer.publisher.waiting,
    nothingToDo: done.epochs === 0 && done.delivered === 0 && !isDrained,
  }
}

/** What the end leaves in state. */
async function openIn(
  run: Run,
  committer: Committer,
): Promise<Pick<Summary, 'openWindows' | 'farAhead' | 'untilTheEnd'>> {
  const { executor } = run.commit
  const { clocks } = committer.position
  const highMarkUs = highMarkOf(committer.position)
  let openWindows = 0
  const farAhead: FarAhead[] = []
  const untilTheEnd: HeldGroups[] = []
  for (const state of stateTables(run.stages)) {
    const { stage } = state
    const through = run.flows.filter(found => stagesOf(found).some(({ id }) => id === stage.id))
    const flow = through[0]?.name ?? ''
    // Results that change are given as they grow.
    const waits = through.find(({ terminal }) => terminal.emit !== 'update')
    if (stage.step.isEndless && waits && state.channel.name === '') {
      const [count] = await executor.rows(`SELECT count(*) AS n FROM (${state.channel.merge(partialsSql(state))})`)
      if (Number(count?.n) > 0) untilTheEnd.push({ flow: waits.name, groups: Number(count?.n) })
    }
    const open = openWindowsOf(state, clocks)
    if (open === undefined) continue
    const [count] = await executor.rows(`SELECT count(*) AS n FROM (${open})`)
    openWindows += Number(count?.n)
    if (highMarkUs === null) continue
    const beyond = await executor.rows(
      `SELECT * FROM (${open}) WHERE _window_start > ${highMarkUs} ORDER BY _window_start, _window_end LIMIT ` +
        `${farAheadMax - farAhead.length}`,
    )
    for (const row of beyond)
      farAhead.push({
        flow,
        windowStart: iso(row._window_start as bigint),
        windowEnd: iso(row._window_end as bigint),
        groups: Number(row.groups),
      })
  }
  return { openWindows, farAhead, untilTheEnd }
}

function watermarks({ position }: Committer): Pick<Summary, 'watermarks'> {
  const shown = Object.entries(sourceClocks(position)).map(([source, us]) => [source, us === null ? null : iso(us)])
  return { watermarks: Object.fromEntries(shown) }
}

/** Of all open windows that do not lie far ahead the one that closes next, and what it waits for. */
async function nextOf(run: Run, { position }: Committer): Promise<Summary['next']> {
  const highMarkUs = highMarkOf(position)
  if (highMarkUs === null) return null
  const found: WindowFacts[] = []
  for (const stage of run.stages) {
    const window = await nextWindow({ ...run, executor: run.commit.executor }, stage, position, highMarkUs)
    if (window) found.push(window)
  }
  const [first] = found.toSorted((a, b) => (a.endUs < b.endUs ? -1 : Number(a.endUs > b.endUs)))
  return first ? windowText(first) : null
}

/** What each source tells, one source after the other. */
function ofSources<T>({ sources }: Run, tell: (name: string, source: OpenSource) => readonly T[]): readonly T[] {
  return [...sources].flatMap(([name, source]) => tell(name, source))
}

/** Every output file of the checkpoint, from its own record of them. */
async function outputFiles(run: Run, { manifest }: Committer): Promise<readonly string[]> {
  const found: string[] = []
  await eachPart({ ...run.reader, manifest }, run.commit.executor, 'outputs', async rows => {
    const files = await run.commit.executor.rows(`SELECT output, key FROM ${rows} ORDER BY epoch, output`)
    found.push(...files.map(row => outputAddress(run.outputs, String(row.output), String(row.key))))
  })
  return found
}
