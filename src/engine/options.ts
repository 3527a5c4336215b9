// What runs take, from code and from the command line. It loads nothing: `--help` is answered at once.
import { flag, given, list, place, text, whole } from '../core/option-kinds.ts'
import { invalid, type Kind, type OptionTable } from '../core/options.ts'
import { parseInstantUs, periodForms } from '../plan/key-period.ts'
import type { Places } from './publish/outputs.ts'
import type { RunEvent } from './report/events.ts'
import type { Running } from './report/running.ts'
import type { Progress } from './report/summary.ts'

/** What `backfill()` and `run()` have in common. */
export interface RunOptions {
  /**
   * Where the objects lie: a directory, `file://` or `s3://` address, or a glob; overrides `objects` of the only
   * source, or of sources by their names: `{ trips: 'data/trips', payments: 's3://bucket/payments/' }`.
   */
  readonly input?: Places
  /**
   * Another place for results: of the only sink, or by the names of flows, `{ 'flow-1': 'data/out' }`. Flows count from
   * 1 in the order given to `pipeline()`.
   */
  readonly output?: Places
  readonly checkpoint?: string
  /** true: claim the checkpoint from a live owner at once, which stops; else wait until it is released or silent. */
  readonly takeover?: boolean
  /** DuckDB threads. Default: the machine's cores. */
  readonly threads?: number
  /** DuckDB memory limit, such as '2GB'. Default: 60 percent of the machine's memory. */
  readonly memory?: string
  /** Where DuckDB spills and objects are spooled. Default: a fresh folder under the system's temporary folder. */
  readonly spill?: string
  /** Told what happens, as plain data: what logs and metrics are made of. */
  readonly onEvent?: (event: RunEvent) => void
  /** Aborted: finish the epoch in flight, commit, publish, release, and stop. */
  readonly drain?: AbortSignal
  /** Aborted: stop now. Nothing half visible is left; the next start continues. */
  readonly signal?: AbortSignal
}

export interface BackfillOptions extends RunOptions {
  /**
   * Inclusive start of the keys' period: '2022-01', '2022-01-15', ISO 8601, UTC. Needs `bounds` with a key pattern, or
   * one time FROM KEY.
   */
  readonly from?: string
  /** Exclusive end. */
  readonly to?: string
  /** Else mini-batches are cut by the source's `miniBatch`. */
  readonly objectsPerEpoch?: number
  /** A checkpoint whose ledger is replayed: its object versions, order, outcomes and flushes, instead of a listing. */
  readonly ledger?: string
  /** false: leave windows open for later months (S6). Default true. */
  readonly flush?: boolean
  /** true: the flush closes every window, those far ahead too, and the checkpoint takes nothing more (S6). */
  readonly final?: boolean
  readonly onProgress?: (progress: Progress) => void
}

export interface FollowOptions extends RunOptions {
  /**
   * Whether objects that lie there at the very first start are read, before anything that is announced. Default true;
   * false records them in the ledger as skipped.
   */
  readonly catchUp?: boolean
  /**
   * Whether the run ends by itself when it has nothing left to do: what lies there is listed, what was announced is
   * committed and acknowledged, and `rows()` are taken. For a run that is started now and then. Default false.
   */
  readonly untilIdle?: boolean
  /** How long a drain may take before the run is stopped. Default 25,000. */
  readonly drainMs?: number
  /** Told at each start of the run what measures it, until it ends or starts again: what no event tells. */
  readonly onRunning?: (running: Running) => void
}

export interface RetryOptions extends Pick<RunOptions, 'takeover' | 'onEvent' | 'signal'> {
  /**
   * Keys of the objects, at most a thousand. Default: all that are set aside, but those that were skipped on purpose (a
   * policy of 'skip', `catchUp: false`) and those of which another version counts.
   */
  readonly objects?: readonly string[]
}

export interface ApplyLateOptions extends Pick<RunOptions, 'takeover' | 'onEvent' | 'signal'> {
  /**
   * Only late rows of windows that begin at the first time or later and end by the second: '2024-03-01/2024-04-01'.
   * Either may be left out: '2024-03-01/'. Default: all.
   */
  readonly window?: string
  /** true: tell what would be applied, and change nothing. */
  readonly dryRun?: boolean
}

export type VerifyOptions = Pick<
  BackfillOptions,
  'input' | 'output' | 'checkpoint' | 'threads' | 'memory' | 'spill' | 'onProgress' | 'signal'
> & {
  /** The cut of the replay. Default: one that is not the checkpoint's own. */
  readonly objectsPerEpoch?: number
}

const callback = <T>() => given<T>('a function', value => typeof value === 'function')
const signal = given<AbortSignal>('an AbortSignal', value => value instanceof AbortSignal)
const period = text(periodForms, value => parseInstantUs(value) !== undefined, 'PERIOD')
const size = text(
  "a size such as '512MB', '2GB' or '1.5GiB'",
  value => /^\d+(\.\d+)? ?[KMGT]i?B$/i.test(value) && Number.parseFloat(value) > 0,
  'SIZE',
)

/**
 * One place, or one for each of several that have names.
 *
 * @param named NAME=PLACE as a command line has it; absent: whether there is a name is told later
 */
const places = (expected: string, placeholder: string, named?: RegExp): Kind<Places> => ({
  expected,
  placeholder,
  fromText(value) {
    const [, name, at] = named?.exec(value) ?? []
    return name === undefined || at === undefined ? value : { [name]: at }
  },
  problemOf(value) {
    const isPlain = typeof value === 'object' && value !== null && !Array.isArray(value)
    const all = isPlain ? Object.values(value) : [value]
    return all.length > 0 && all.every(at => place.problemOf(at) === undefined) ? undefined : invalid(value, expected)
  },
})
const anyPlace = 'a directory, or a file:// or s3:// address'

export const runOptions = {
  input: {
    kind: places(
      `${anyPlace}; or such places by the names of sources: { trips: 'data/trips' }`,
      '[SOURCE=]ADDRESS|GLOB',
    ),
    isRepeated: true,
    otherwise: "the sources' own `objects`",
    about:
      'Where the objects lie: a folder or prefix, one object or a glob; of several sources by the name of the ' +
      'source, once for each.',
  },
  output: {
    kind: places(
      `${anyPlace}; or such places by the names of flows: { 'flow-1': 'out' }`,
      '[FLOW=]ADDRESS',
      /^(flow-\d+)=(.+)$/,
    ),
    isRepeated: true,
    otherwise: "the sinks' own addresses",
    about: 'Where the results go; of several sinks by the name of the flow, once for each.',
  },
  checkpoint: { kind: place, otherwise: "the pipeline's own", about: 'Where state and ledger lie.' },
  takeover: {
    kind: flag,
    default: false,
    about: 'Claim the checkpoint from a process that is alive, which then stops, instead of waiting for it.',
  },
  threads: {
    kind: whole(1, 1024),
    otherwise: 'as many as the machine has cores',
    about: 'How many threads DuckDB uses.',
  },
  memory: {
    kind: size,
    otherwise: "60 percent of the machine's",
    about: "How much memory DuckDB uses at most, such as '2GB'.",
  },
  spill: {
    kind: text('the path of a folder', undefined, 'DIR'),
    otherwise: 'a temporary one',
    about: 'The folder for what does not fit into memory.',
  },
  onEvent: { kind: callback<(event: RunEvent) => void>(), about: 'Told what happens, as plain data.' },
  drain: { kind: signal, about: 'Aborted: the epoch in flight is finished, then the run stops.' },
  signal: { kind: signal, about: 'Aborted: the run stops now.' },
} satisfies OptionTable<RunOptions>

export const backfillOptions = {
  ...runOptions,
  from: {
    kind: period,
    about: "The first period of the keys that is read, such as '2022-01' or '2022-01-15', in UTC.",
  },
  to: { kind: period, about: 'The period of the keys to stop before.' },
  objectsPerEpoch: {
    kind: whole(1, 1_000_000),
    otherwise: "as the source's `miniBatch` says",
    about: 'Commit after so many objects; may change between runs.',
  },
  ledger: {
    kind: place,
    about: 'Replay the ledger of this checkpoint: its objects, order, outcomes and flushes, instead of a listing.',
    placeholder: 'CHECKPOINT',
  },
  flush: { kind: flag, default: true, about: 'Whether windows are closed at the end.' },
  final: {
    kind: flag,
    default: false,
    about: 'Close every window at the end, also those far ahead, and seal the checkpoint.',
  },
  onProgress: { kind: callback<(progress: Progress) => void>(), about: 'Told how far the run has come.' },
} satisfies OptionTable<BackfillOptions>

export const followOptions = {
  ...runOptions,
  catchUp: { kind: flag, default: true, about: 'Whether what lies there at the very first start is read.' },
  untilIdle: {
    kind: flag,
    default: false,
    about: 'End when what lies there and what was announced is committed, published and acknowledged.',
  },
  drainMs: {
    kind: whole(0),
    default: 25_000,
    unit: 'milliseconds',
    about: 'How long a drain may take before the run is stopped.',
  },
  onRunning: { kind: callback<(running: Running) => void>(), about: 'Told at each start of the run what measures it.' },
} satisfies OptionTable<FollowOptions>

export const retryOptions = {
  objects: {
    kind: list(text('the key of an object'), 'a list of keys'),
    otherwise: 'all that are set aside',
    about: 'The objects that are read again.',
  },
  takeover: runOptions.takeover,
  onEvent: runOptions.onEvent,
  signal: runOptions.signal,
} satisfies OptionTable<RetryOptions>

export const applyLateOptions = {
  window: {
    kind: text(
      'two times with / between them, such as 2024-03-01/2024-04-01',
      value => /^[^/]*\/[^/]*$/.test(value),
      'FROM/TO',
    ),
    otherwise: 'all windows',
    about: 'The windows whose late rows are applied: those that begin at FROM or later and end by TO.',
  },
  dryRun: { kind: flag, default: false, about: 'Tell what would be applied, and change nothing.' },
  takeover: runOptions.takeover,
  onEvent: runOptions.onEvent,
  signal: runOptions.signal,
} satisfies OptionTable<ApplyLateOptions>

const { input, checkpoint, threads, memory, spill } = runOptions
export const verifyOptions = {
  input,
  output: {
    ...runOptions.output,
    otherwise: 'where the pipeline says, if that folder belongs to the checkpoint, or where the run wrote them',
    about: 'Where the results lie, if they were moved.',
  },
  checkpoint,
  objectsPerEpoch: {
    ...backfillOptions.objectsPerEpoch,
    otherwise: "another cut than the run's",
    about: 'How the replay is cut.',
  },
  threads,
  memory,
  spill,
  onProgress: backfillOptions.onProgress,
  signal: runOptions.signal,
} satisfies OptionTable<VerifyOptions>
