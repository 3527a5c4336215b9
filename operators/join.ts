import type { Observable } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { canonicalDuration, type Duration, parseSignedUs } from '../src/core/duration.ts'
import { configError } from '../src/core/errors.ts'
import { sortedByName } from '../src/core/json.ts'
import { given, oneOf } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import type { Base, Show, Wider } from '../src/core/types.ts'
import type { ColumnsOf, MiniBatch, OfRows, Operator, TimeOf, TookSides } from '../src/plan/batches.ts'
import { checkFlow, meeting } from '../src/plan/meeting.ts'
import type { TwoInputStep } from '../src/plan/step.ts'
import { joinedColumns, keyType } from './join-columns.ts'
import { joinedRows, type JoinKind } from './joined-rows.ts'

interface PlainOptions {
  readonly [key: string]: string | readonly string[] | Readonly<Record<string, string>>
  /** Columns of the left side to those of the right side that must be equal. */
  readonly on: Readonly<Record<string, string>>
  readonly within: readonly [string, string]
  readonly kind: JoinKind
}

/** Times and what is added to them must fit into 64 bits: event times reach 2^62 microseconds. */
const withinUsMax = 2n ** 60n

export const joinStep: TwoInputStep<PlainOptions> = {
  is: 'stateful',
  takes: 'two',
  op: 'join',
  expressions: () => [],
  canonical: ({ on, within, kind }) => ({ on: sortedByName(on), within: within.map(canonicalSigned), kind }),
  fold(left, right, { on, within, kind }) {
    const [lo, hi] = within.map(text => parseSignedUs(text) as bigint) as [bigint, bigint]
    const keys = Object.entries(on).map(([own, other]) => ({
      left: own,
      right: other,
      type: keyType(own, other, left.input, right.input),
    }))
    const columns = joinedColumns(left.input, right.input, keys, kind)
    return joinedRows({ left: left.input, right: right.input, keys, lo, hi, kind, columns })
  },
}

function canonicalSigned(text: string): string {
  const isNegative = text.startsWith('-')
  const size = canonicalDuration(isNegative ? text.slice(1) : text, 'join: within')
  return isNegative && !size.startsWith('0 ') ? `-${size}` : size
}

type Names = readonly string[] | Readonly<Record<string, string>>

/** Which rows of two flows belong together. */
export interface JoinOptions<On extends Names = Names, K extends JoinKind = JoinKind> {
  /** Columns that must be equal: those of one name on both sides, or `{ left: 'right' }`. */
  readonly on: On
  /** From where to where the time of the other side's row may lie after that of this side's row. */
  readonly within: readonly [Duration, Duration]
  /** Default: 'inner'. */
  readonly kind?: K
}

const bounds =
  "two durations, the first at most the second, such as ['-10 minutes', '2 hours']: how long after a row's own time " +
  'that of the row of the other side may be. Without bounds every row would be kept for ever'

const joinOptions = {
  on: {
    kind: given<Names>("a list of columns such as ['id'], or of both sides such as { id: 'order_id' }", isOn),
    isRequired: true,
    about: 'Columns that must be equal.',
  },
  within: {
    kind: given<readonly [Duration, Duration]>(bounds, isWithin),
    isRequired: true,
    about: "From where to where the time of the other side's row may lie after that of this side's row.",
  },
  kind: {
    kind: oneOf('inner', 'left', 'right', 'full', 'semi', 'anti'),
    default: 'inner',
    about: 'Which rows are given.',
  },
} satisfies OptionTable<JoinOptions>

function isOn(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const names: readonly unknown[] = Object.values(value)
  const areTexts = names.length > 0 && names.every(name => typeof name === 'string')
  return areTexts && new Set(names).size === names.length
}

function isWithin(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [lo, hi] = value.map(text => (typeof text === 'string' ? parseSignedUs(text) : undefined))
  return lo !== undefined && hi !== undefined && lo <= hi && -withinUsMax <= lo && hi <= withinUsMax
}

type LeftOf<On> = On extends readonly (infer N)[] ? N : keyof On
type RightOf<On> = On extends readonly (infer N)[] ? N : On[keyof On]
type OtherName<On, N> = On extends readonly unknown[] ? N : N extends keyof On ? On[N] : never

type Joined<C, B, On, K> = [K] extends ['semi' | 'anti']
  ? C
  : Show<
      {
        -readonly [N in keyof C]: [K] extends ['right' | 'full']
          ? N extends LeftOf<On>
            ? Wider<C[N], B[OtherName<On, N> & keyof B]>
            : Base<C[N]>
          : C[N]
      } & {
        -readonly [N in Exclude<keyof B, RightOf<On>>]: [K] extends ['left' | 'full'] ? Base<B[N]> : B[N]
      }
    >

type Clash<C, B, On> = Extract<Exclude<keyof B, RightOf<On>>, keyof C>

/** Nothing, or what is wrong with the other side. */
type Meets<C, T, B, TB, On, K> = unknown extends C
  ? unknown
  : [TB] extends [T]
    ? [Exclude<LeftOf<On>, keyof C>] extends [never]
      ? [Exclude<RightOf<On>, keyof B>] extends [never]
        ? [K] extends ['semi' | 'anti']
          ? unknown
          : [Clash<C, B, On>] extends [never]
            ? unknown
            : `column "${Clash<C, B, On> & string}" is on both sides: rename one of them`
        : `on: the other side has no column "${Exclude<RightOf<On>, keyof B> & string}"`
      : `on: no column "${Exclude<LeftOf<On>, keyof C> & string}"`
    : 'the event times of both sides must be of one type'

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
 * @param other The right side.
 * @throws MillraceError `user` for columns that are unknown, of different types or on both sides, and without bounds.
 */
export function join<I, B, TB, const On extends Names, const K extends JoinKind = 'inner'>(
  other: Observable<MiniBatch<B, TB>> & NoInfer<Meets<ColumnsOf<I>, TimeOf<I>, B, TB, On, K>>,
  options: OfRows<I, JoinOptions<On, K>>,
): Operator<I, MiniBatch<Joined<ColumnsOf<I>, B, On, K>, TimeOf<I>, TookSides<ColumnsOf<I>, B>>> {
  const { on, within, kind } = readCall('join', joinOptions, [], options)
  checkFlow('join: other side', other, 'a source, or a flow that goes on from one')
  const plain: PlainOptions = {
    on: Array.isArray(on)
      ? Object.fromEntries((on as readonly string[]).map(name => [name, name]))
      : { ...(on as object) },
    within,
    kind,
  }
  if (Object.keys(plain.on).length === 0) throw configError('join: on', on, 'one column or more')
  const at = callSite()
  const apply = (source: Observable<unknown>) =>
    meeting('join', [source, other], (first, others) => first.meet(joinStep, plain, others, at), at)
  return Object.assign(apply as never, { step: joinStep, options: plain })
}
