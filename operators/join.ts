import type { Observable } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { canonicalDuration, type Duration, durationInWords, parseSignedUs } from '../src/core/duration.ts'
import { sortedByName } from '../src/core/json.ts'
import { given } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import {
  type ColumnsOf,
  type MiniBatch,
  type OfOnlyWindow,
  type OfRows,
  type Operator,
  type TimeOf,
  type TookSides,
  type Windowed,
} from '../src/plan/batches.ts'
import { checkFlow, meeting } from '../src/plan/meeting.ts'
import type { TwoInputStep } from '../src/plan/step.ts'
import {
  checkAsked,
  joinedColumns,
  joinKeys,
  type Joined,
  type LooksUp,
  kindOption,
  type Meets,
  type Names,
  onOption,
  onTold,
  type PlainNames,
  plainNames,
} from './join-columns.ts'
import { pairsOfKeyMax, pairsOption } from './crowded-keys.ts'
import { joinedRows, type JoinKind } from './joined-rows.ts'
import { asksForWindow, windowJoin, type WindowJoined, type WindowJoinOptions } from './window-join.ts'
import { type Lookup, lookupDefinition, lookupJoin, type LookupJoinOptions } from './lookup.ts'

/** An alias and no interface, which would be no JSON to the compiler. */
type PlainOptions = {
  /** Columns of the left side to those of the right side that must be equal. */
  readonly on: PlainNames
  readonly within: readonly [string, string]
  readonly kind: JoinKind
  readonly pairsOfKeyMax?: number
}

/** Times and what is added to them must fit into 64 bits: event times reach 2^62 microseconds. */
const withinUsMax = 2n ** 60n

export const joinStep: TwoInputStep<PlainOptions> = {
  is: 'stateful',
  takes: 'two',
  op: 'join',
  tells: ({ on, within, kind }) => [
    `${kind}, on ${onTold(on)}`,
    `the other row is ${within.map(durationInWords).join(' to ')} later`,
  ],
  expressions: () => [],
  canonical(options) {
    // How much work it may be is no part of the answer.
    const { on, within, pairsOfKeyMax: _, ...others } = options
    // A checkpoint may have been made with another form of join.
    return {
      on: sortedByName(on),
      ...(Array.isArray(within) ? { within: within.map(canonicalSigned) } : {}),
      ...others,
    }
  },
  fold(left, right, { on, within, kind, pairsOfKeyMax: pairsMax = pairsOfKeyMax }) {
    const [lo, hi] = within.map(text => parseSignedUs(text) as bigint) as [bigint, bigint]
    const keys = joinKeys(on, left.input, right.input)
    const columns = joinedColumns(left.input, right.input, keys, kind)
    return joinedRows({ left: left.input, right: right.input, keys, lo, hi, kind, pairsMax, columns })
  },
}

function canonicalSigned(text: string): string {
  const isNegative = text.startsWith('-')
  const size = canonicalDuration(isNegative ? text.slice(1) : text, 'join: within')
  return isNegative && !size.startsWith('0 ') ? `-${size}` : size
}

/** Which rows of two flows belong together. */
export interface JoinOptions<On extends Names = Names, K extends JoinKind = JoinKind> {
  /** Columns that must be equal: those of one name on both sides, or `{ left: 'right' }`. */
  readonly on: On
  /** From where to where the time of the other side's row may lie after that of this side's row. */
  readonly within: readonly [Duration, Duration]
  /** Default: 'inner'. */
  readonly kind?: K
  /**
   * Pairs of rows of one key that an epoch may compare. An epoch with more fails before they are made, and the error
   * names the key. It may be changed at any time. Default: 100 million.
   */
  readonly pairsOfKeyMax?: number
}

const bounds =
  "two durations, the first at most the second, such as ['-10 minutes', '2 hours']: how long after a row's own time " +
  'that of the row of the other side may be. Without bounds every row would be kept for ever. ' +
  'For rows of the same window write window: true'

const joinOptions = {
  on: onOption,
  within: {
    kind: given<readonly [Duration, Duration]>(bounds, isWithin),
    isRequired: true,
    about: "From where to where the time of the other side's row may lie after that of this side's row.",
  },
  kind: kindOption,
  pairsOfKeyMax: pairsOption,
} satisfies OptionTable<JoinOptions>

function isWithin(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [lo, hi] = value.map(text => (typeof text === 'string' ? parseSignedUs(text) : undefined))
  return lo !== undefined && hi !== undefined && lo <= hi && -withinUsMax <= lo && hi <= withinUsMax
}

/**
 * Pairs of rows of two flows that have equal columns and whose event times lie within bounds of each other.
 *
 *     trips.pipe(join(payments, { on: ['trip_id'], within: ['-10 minutes', '2 hours'], kind: 'left' }))
 *
 * A payment belongs to a trip when it is made at most ten minutes before it and at most two hours after it. `inner`
 * gives pairs, `left`, `right` and `full` also rows of the left side, the right side or both that have none, `semi`
 * rows of the left side that have one, `anti` those that have none. A pair is given when its second row is read. That a
 * row has no partner is known once the watermark is past the last time at which one could come, and then it is given.
 *
 * The columns of `on` are there once, by their names on the left side. Another name on both sides is refused: `rename`
 * it. A row whose time is below the watermark goes to the late ledger, that of its side. NULL equals nothing.
 *
 * With `window: true` rows belong together that are in the same window: both sides end with it, and the rows have
 * `window_start` and `window_end`. All of a window is given when the watermark closes it.
 *
 *     persons.pipe(tumbling('1 hour'), join(auctions.pipe(tumbling('1 hour')), { on: { id: 'seller' }, window: true }))
 *
 * With a lookup instead of a flow there is nothing to wait for: see `lookup`.
 *
 *     trips.pipe(join(zones, { on: { zone: 'LocationID' }, kind: 'left' }))
 *
 * @param other The right side: a flow, or a lookup.
 * @throws MillraceError `user` for columns that are unknown, of different types or on both sides, and without bounds.
 */
export function join<I, B, TB, const On extends Names, const K extends JoinKind = 'inner'>(
  other: Observable<MiniBatch<B, TB>> & NoInfer<Meets<ColumnsOf<I>, TimeOf<I>, B, TB, On, K>>,
  options: OfRows<I, JoinOptions<On, K>>,
): Operator<I, MiniBatch<Joined<ColumnsOf<I>, B, On, K>, TimeOf<I>, TookSides<ColumnsOf<I>, B>>>
export function join<I, B, TB, const On extends Names, const K extends JoinKind = 'inner'>(
  other: Observable<Windowed<B, TB>> & NoInfer<Meets<ColumnsOf<I>, TimeOf<I>, B, TB, On, K>>,
  options: OfOnlyWindow<I, WindowJoinOptions<On, K>>,
): Operator<
  I,
  MiniBatch<WindowJoined<ColumnsOf<I>, B, On, K, TimeOf<I>>, TimeOf<I>, TookSides<ColumnsOf<I>, B, 'windows'>>
>
export function join<I, L, LK extends string, const On extends Names, const K extends 'inner' | 'left' = 'inner'>(
  other: Lookup<L, LK> & NoInfer<LooksUp<ColumnsOf<I>, L, LK, On>>,
  options: OfRows<I, LookupJoinOptions<On, K>>,
): Operator<I, MiniBatch<Joined<ColumnsOf<I>, L, On, K>, TimeOf<I>>>
export function join(other: unknown, options: unknown): unknown {
  const found = lookupDefinition(other)
  if (found) return lookupJoin(found, options)
  const flow = other as Observable<unknown>
  checkAsked(options)
  return asksForWindow(options) ? windowJoin(flow, options) : joinFlow(flow, options)
}

function joinFlow(other: Observable<unknown>, options: unknown): Operator<never, never> {
  const { on, within, kind, pairsOfKeyMax: max } = readCall('join', joinOptions, [], options)
  checkFlow('join: other side', other, 'a source, or a flow that goes on from one, or a lookup')
  const plain: PlainOptions = { on: plainNames(on), within, kind, ...(max !== undefined && { pairsOfKeyMax: max }) }
  const at = callSite()
  const apply = (source: Observable<unknown>) =>
    meeting('join', [source, other], (first, others) => first.meet(joinStep, plain, others, at), at)
  return Object.assign(apply as never, { step: joinStep, options: plain })
}
