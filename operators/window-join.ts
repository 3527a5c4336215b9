import type { Observable } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { configError } from '../src/core/errors.ts'
import { sortedByName } from '../src/core/json.ts'
import { only } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import { parseColumnType, type Show } from '../src/core/types.ts'
import { checkFlow, meeting } from '../src/plan/meeting.ts'
import type { ColumnTypes } from '../src/plan/relation.ts'
import type { TwoWindowsStep } from '../src/plan/step.ts'
import type { WindowAssigner } from '../src/plan/window.ts'
import { checkWholeDays, endColumn, startColumn } from './aggregates/window-times.ts'
import { checkNewName } from './columns.ts'
import {
  joinedColumns,
  joinKeys,
  type Joined,
  kindOption,
  type Names,
  onOption,
  onTold,
  type PlainNames,
  plainNames,
} from './join-columns.ts'
import { pairsOfKeyMax, pairsOption } from './crowded-keys.ts'
import type { JoinKind } from './joined-rows.ts'
import { joinedWindows } from './joined-windows.ts'

/** An alias and no interface, which would be no JSON to the compiler. */
type PlainOptions = {
  readonly on: PlainNames
  readonly window: true
  readonly kind: JoinKind
  readonly pairsOfKeyMax?: number
}

export const windowJoinStep: TwoWindowsStep<PlainOptions> = {
  is: 'stateful',
  takes: 'two windows',
  op: 'join',
  tells: ({ on, kind }) => [`${kind}, on ${onTold(on)}, in the same window`],
  expressions: () => [],
  canonical(options) {
    // How much work it may be is no part of the answer.
    const { on, kind, pairsOfKeyMax: _, ...others } = options
    return { on: sortedByName(on), ...others, kind }
  },
  fold(left, right, windows, { on, kind, pairsOfKeyMax: pairsMax = pairsOfKeyMax }) {
    const timeType = parseColumnType(left.timeType, 'time')
    checkWindows(windows)
    checkWholeDays(windows, timeType)
    const keys = joinKeys(on, left.input, right.input)
    const joined = joinedColumns(left.input, right.input, keys, kind)
    const columns = { ...windowColumns(joined, timeType.sql), ...joined }
    return joinedWindows({ left: left.input, right: right.input, keys, kind, windows, timeType, pairsMax, columns })
  },
}

/** What is one window for all, or of rows of one side, has nothing to be compared by. */
function checkWindows({ together, isEndless }: WindowAssigner): void {
  if (together)
    throw configError(
      'join: window',
      'session',
      'windows whose borders do not come from the rows, such as tumbling: sessions of two sides are never the same. ' +
        "Aggregate them, or join the rows within an interval: within: ['-30 minutes', '30 minutes']",
    )
  if (isEndless) throw configError('join: window', 'global', 'windows that end, such as tumbling')
}

function windowColumns(joined: ColumnTypes, timeType: string): ColumnTypes {
  const names = Object.keys(joined)
  for (const name of [startColumn, endColumn]) {
    if (names.includes(name))
      throw configError('join', name, 'another name for this column: windows add this one themselves')
    checkNewName('join', name, names)
  }
  return { [startColumn]: `${timeType} NOT NULL`, [endColumn]: `${timeType} NOT NULL` }
}

/** Which rows of two flows belong together that are in the same window. */
export interface WindowJoinOptions<On extends Names = Names, K extends JoinKind = JoinKind> {
  /** Columns that must be equal: those of one name on both sides, or `{ left: 'right' }`. */
  readonly on: On
  /** Both sides end with the same window, and rows belong together that are in one. */
  readonly window: true
  /** Default: 'inner'. */
  readonly kind?: K
  /**
   * Pairs of rows of one key that the windows of an epoch may have. An epoch with more fails before they are made, and
   * the error names the key. It may be changed at any time. Default: 100 million.
   */
  readonly pairsOfKeyMax?: number
}

const windowJoinOptions = {
  on: onOption,
  window: {
    kind: only(true),
    isRequired: true,
    about: 'Both sides end with the same window, and rows belong together that are in one.',
  },
  kind: kindOption,
  pairsOfKeyMax: pairsOption,
} satisfies OptionTable<WindowJoinOptions>

/** The columns of a window join's rows. */
export type WindowJoined<C, B, On, K, T> = Show<{ window_start: T; window_end: T } & Joined<C, B, On, K>>

/** Whether these are options of a join of windows, so that `windowJoin` reads them. */
export function asksForWindow(options: unknown): boolean {
  return typeof options === 'object' && options !== null && Object.hasOwn(options, 'window')
}

/** `join` with `window: true`, without its types. */
export function windowJoin(other: Observable<unknown>, options: unknown) {
  const { on, kind, pairsOfKeyMax: max } = readCall('join', windowJoinOptions, [], options)
  checkFlow('join: other side', other, 'a source, or a flow that goes on from one')
  const plain: PlainOptions = {
    on: plainNames(on),
    window: true,
    kind,
    ...(max !== undefined && { pairsOfKeyMax: max }),
  }
  const at = callSite()
  const apply = (source: Observable<unknown>) =>
    meeting('join', [source, other], (first, others) => first.meet(windowJoinStep, plain, others, at), at)
  return Object.assign(apply, { step: windowJoinStep, options: plain })
}
