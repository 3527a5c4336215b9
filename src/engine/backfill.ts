import { configError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { eachPart } from './channels.ts'
import { type Committer, createCommitter, outputAddress } from './commit-epoch.ts'
import { components, type Components } from './components.ts'
import { openSession, type Session } from './duckdb/session.ts'
import { subscribeFlows } from './flows.ts'
import { openRun, type Run } from './open-run.ts'
import { createRunAhead } from './run-ahead.ts'
import { partialsSql, stateTables } from './state.ts'
import type { BackfillOptions, EpochResult, FarAhead, SetAside, Summary, Totals } from './summary.ts'

/**
 * Runs a pipeline over the objects of its source that its checkpoint has not counted yet, commits each mini-batch as
 * an epoch, and ends with a flush. Run again, it continues.
 *
 * @param onEpoch called after each commit
 * @throws MillraceError `user` before anything is read when pipeline or options are wrong; `fenced` when another
 * process claimed the checkpoint; `fatal` for bad data under a `fail` policy. What was committed stays.
 */
export function backfill(
  pipeline: Pipeline,
  options: BackfillOptions = {},
  onEpoch: (result: EpochResult) => void = () => {},
): Promise<Summary> {
  return backfillWith(components, pipeline, options, onEpoch)
}

/** As `backfill`, with stores and formats of the caller's choice: what simulations use. */
export async function backfillWith(
  parts: Components,
  pipeline: Pipeline,
  options: BackfillOptions,
  onEpoch: (result: EpochResult) => void = () => {},
): Promise<Summary> {
  const startedMs = parts.clock.nowMs()
  checkOptions(options)
  const flows = subscribeFlows(pipeline)
  const abort = new AbortController()
  const forward = () => abort.abort(options.signal?.reason)
  options.signal?.addEventListener('abort', forward, { once: true })
  if (options.signal?.aborted) forward()
  let session: Session | undefined
  try {
    session = await openSession(options)
    const run = await openRun(pipeline, options, flows, session, parts, abort)
    return await work(run, onEpoch, startedMs)
  } finally {
    options.signal?.removeEventListener('abort', forward)
    // What ran ahead stops before its folder goes.
    abort.abort()
    flows.complete()
    await session?.close()
  }
}

const optionNames = {
  input: true,
  output: true,
  checkpoint: true,
  from: true,
  to: true,
  objectsPerEpoch: true,
  ledger: true,
  threads: true,
  memory: true,
  spill: true,
  flush: true,
  onProgress: true,
  drain: true,
  signal: true,
} satisfies Record<keyof BackfillOptions, true>

function checkOptions(options: BackfillOptions): void {
  // Node strips types and tells nobody of a misspelt option.
  for (const name of Object.keys(options))
    if (!Object.hasOwn(optionNames, name)) {
      const near = nearestName(name, Object.keys(optionNames))
      throw configError(
        'options',
        name,
        near === undefined ? `one of ${Object.keys(optionNames).join(', ')}` : `'${near}'`,
      )
    }
  const { objectsPerEpoch, threads, memory, ledger, from, to } = options
  if (ledger !== undefined && (from !== undefined || to !== undefined))
    throw configError('ledger', ledger, 'no --from and --to beside it: a ledger is replayed whole')
  for (const [name, value] of Object.entries({ objectsPerEpoch, threads }))
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 1))
      throw configError(name, value, 'a whole number above zero')
  if (memory !== undefined && !/^\d+(\.\d+)? ?[KMGT]i?B$/i.test(memory))
    throw configError('memory', memory, "a size such as '2GB' or '512MB'")
}

/** What this run has done so far. */
interface Done {
  objects: number
  rows: number
  bytes: number
  late: number
  epochs: number
  readonly setAside: SetAside[]
}

async function work(run: Run, onEpoch: (result: EpochResult) => void, startedMs: number): Promise<Summary> {
  const committer = createCommitter(run)
  try {
    return await commitAll(run, committer, onEpoch, startedMs)
  } finally {
    await committer.stop()
  }
}

async function commitAll(
  run: Run,
  committer: Committer,
  onEpoch: (result: EpochResult) => void,
  startedMs: number,
): Promise<Summary> {
  const { listing, options } = run
  const ahead = createRunAhead(run, committer.position)
  const done: Done = { objects: 0, rows: 0, bytes: 0, late: 0, epochs: 0, setAside: [] }
  const tell = (result?: EpochResult) => {
    if (result) {
      done.epochs++
      done.late += result.late
      onEpoch(result)
    }
    options.onProgress?.({
      objectsDone: done.objects,
      objectsTotal: listing.objects,
      bytesDone: done.bytes,
      bytesTotal: listing.bytes,
      rows: done.rows,
      epoch: committer.manifest.epoch,
    })
  }

  tell()
  let isComplete = false
  while (!options.drain?.aborted) {
    const ready = await ahead.next()
    if (!ready) {
      isComplete = true
      break
    }
    const result = await committer.commit(ready)
    for (const { marked } of ready.stamped.objects) {
      done.objects++
      done.rows += marked.rows
      done.bytes += marked.version.sizeBytes
      if (marked.reason !== null) done.setAside.push({ key: marked.version.key, reason: marked.reason })
    }
    await ahead.done()
    tell(result)
  }
  // A replayed ledger brings its own flushes.
  if (isComplete && options.flush !== false && options.ledger === undefined) {
    const result = await committer.flush()
    if (result) tell(result)
  }
  await committer.close()
  return summarise(run, committer, done, !isComplete, (run.clock.nowMs() - startedMs) / 1000)
}

const farAheadMax = 100

async function summarise(
  run: Run,
  committer: Committer,
  done: Done,
  drained: boolean,
  seconds: number,
): Promise<Summary> {
  const { executor } = run.commit
  const { highMarkUs, watermarkUs } = committer.position
  let openWindows = 0
  const farAhead: FarAhead[] = []
  for (const state of stateTables(run.nodes).filter(({ table }) => table.name === '')) {
    const { node } = state
    const open = node.step.openWindows(partialsSql(state), watermarkUs)
    const [count] = await executor.rows(`SELECT count(*) AS n FROM (${open})`)
    openWindows += Number(count?.n)
    if (highMarkUs === null) continue
    const beyond = await executor.rows(
      `SELECT * FROM (${open}) WHERE _window_start > ${highMarkUs} ORDER BY _window_start, _window_end LIMIT ${farAheadMax - farAhead.length}`,
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
    outputs: [...run.outputs.values()].map(({ store }) => store.address),
    totals: committer.manifest.engine.totals as unknown as Totals,
    outputFiles: await outputFiles(run, committer),
    run: {
      ...done,
      seconds,
      ignored: run.listing.ignored,
      matched: run.listing.matched,
      leftOut: run.listing.leftOut,
      drained,
    },
    openWindows,
    farAhead,
    nothingToDo: done.epochs === 0 && !drained,
  }
}

/** Every output file of the checkpoint, from its own record of them. */
async function outputFiles(run: Run, { manifest }: Committer): Promise<readonly string[]> {
  const found: string[] = []
  await eachPart({ ...run.reader, manifest }, 'outputs', async rows => {
    const files = await run.commit.executor.rows(`SELECT output, key FROM ${rows} ORDER BY epoch, output`)
    found.push(...files.map(row => outputAddress(run, String(row.output), String(row.key))))
  })
  return found
}

/** Microseconds as ISO 8601, UTC; beyond what Date can hold as microseconds. */
export function iso(us: bigint): string {
  const ms = Number(us / 1000n)
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${us} microseconds since 1970`
}
