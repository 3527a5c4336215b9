import { flag, given, list, place, text, whole } from '../core/option-kinds.ts'
import { invalid, type Kind, type OptionTable } from '../core/options.ts'
import { parseInstantUs, periodForms } from '../plan/key-period.ts'
import type { RunEvent } from './report/events.ts'
import type { Places } from './publish/outputs.ts'
import type { RetryOptions } from './retry.ts'
import type { Running } from './running.ts'
import type { BackfillOptions, FollowOptions, Progress, RunOptions } from './report/summary.ts'
import type { VerifyOptions } from './verify.ts'

// What runs take, from code and from the command line. It loads nothing: `--help` is answered at once.

const callback = <T>() => given<T>('a function', value => typeof value === 'function')
const signal = given<AbortSignal>('an AbortSignal', value => value instanceof AbortSignal)
const period = text(periodForms, value => parseInstantUs(value) !== undefined, 'PERIOD')
const size = text(
  "a size such as '512MB', '2GB' or '1.5GiB'",
  value => /^\d+(\.\d+)? ?[KMGT]i?B$/i.test(value) && Number.parseFloat(value) > 0,
  'SIZE',
)

const placesExpected =
  "a directory, or a file:// or s3:// address; or such places by the names of flows: { 'flow-1': 'out' }"
/** `out`, or `flow-1=out` of one of several. */
const places: Kind<Places> = {
  expected: placesExpected,
  placeholder: '[FLOW=]ADDRESS',
  fromText(value) {
    const [, flow, at] = /^(flow-\d+)=(.+)$/.exec(value) ?? []
    return flow === undefined || at === undefined ? value : { [flow]: at }
  },
  problemOf(value) {
    const isPlain = typeof value === 'object' && value !== null && !Array.isArray(value)
    const all = isPlain ? Object.values(value) : [value]
    return all.length > 0 && all.every(at => place.problemOf(at) === undefined)
      ? undefined
      : invalid(value, placesExpected)
  },
}

export const runOptions = {
  input: {
    kind: place,
    otherwise: "the source's own `objects`",
    about: 'Where the objects lie: a folder or prefix, one object or a glob.',
    placeholder: 'ADDRESS|GLOB',
  },
  output: {
    kind: places,
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
