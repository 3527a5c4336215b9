/** Random ledgers for properties: what the real world does to event times, more often than it does. */
import fc from 'fast-check'
import type { OracleInput, OracleObject, OracleRow } from './oracle.ts'

const SECOND = 1_000_000n
const MINUTE = 60n * SECOND
const HOUR = 60n * MINUTE
const DAY = 24n * HOUR

export interface LedgerOptions {
  readonly objectsMax?: number
  readonly rowsMax?: number
  /** Columns of `key` and of `values`; rows have exactly so many. */
  readonly keys?: number
  readonly values?: number
  /** NULL event times, which are quarantined. Default true. */
  readonly nullTimes?: boolean
  /** Every object has a period of one UTC day as bounds, most of its rows inside. Default false. */
  readonly bounded?: boolean
}

/** A window's size and distance; tumbling when they are equal. The distance need not divide the size. */
export function windowings(): fc.Arbitrary<OracleInput['windows']> {
  return fc.oneof(
    fc.constantFrom(MINUTE, 10n * MINUTE, HOUR, 7n * HOUR, DAY).map(sizeUs => ({ sizeUs, everyUs: sizeUs })),
    fc.constantFrom(
      { sizeUs: HOUR, everyUs: 20n * MINUTE },
      { sizeUs: HOUR, everyUs: 25n * MINUTE },
      { sizeUs: DAY, everyUs: 6n * HOUR },
      { sizeUs: 90n * SECOND, everyUs: 60n * SECOND },
    ),
  )
}

export function delays(): fc.Arbitrary<bigint> {
  return fc.constantFrom(0n, SECOND, 10n * MINUTE, HOUR, DAY)
}

/**
 * Event times around `centre`: on a border of a window and one microsecond beside it, anywhere near, days away, and
 * far ahead if asked. Borders repeat, so that equal times are common.
 */
function times(centre: bigint, everyUs: bigint, farAhead: boolean): fc.Arbitrary<bigint> {
  const border = (centre / everyUs) * everyUs
  return fc.oneof(
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.bigInt(-6n, 6n), fc.constantFrom(-1n, 0n, 0n, 1n))
        .map(([steps, beside]) => border + steps * everyUs + beside),
    },
    { weight: 5, arbitrary: fc.bigInt(-3n * HOUR, 3n * HOUR).map(from => centre + from) },
    { weight: 1, arbitrary: fc.bigInt(-3n * DAY, 3n * DAY).map(from => centre + from) },
    // 1 January 2098: a broken clock.
    { weight: farAhead ? 1 : 0, arbitrary: fc.bigInt(0n, HOUR).map(from => 46_752n * DAY + from) },
  )
}

function rows(centre: bigint, everyUs: bigint, farAhead: boolean, options: LedgerOptions): fc.Arbitrary<OracleRow[]> {
  const { rowsMax = 12, keys = 1, values = 2, nullTimes = true } = options
  const time = times(centre, everyUs, farAhead)
  const value = fc.oneof(
    { weight: 6, arbitrary: fc.bigInt(-50n, 50n) },
    { weight: 1, arbitrary: fc.constantFrom(-(2n ** 53n) - 1n, 2n ** 53n + 1n, 10n ** 15n) },
    { weight: 2, arbitrary: fc.constant(null) },
  )
  const row = fc.record(
    {
      t: nullTimes ? fc.oneof({ weight: 15, arbitrary: time }, { weight: 1, arbitrary: fc.constant(null) }) : time,
      key: fc.tuple(...Array.from({ length: keys }, () => fc.constantFrom('a', 'b', 'null', '', 'é', null))),
      values: fc.tuple(...Array.from({ length: values }, () => value)),
    },
    { noNullPrototype: true },
  )
  return fc.oneof(
    { weight: 6, arbitrary: fc.array(row, { maxLength: rowsMax }) },
    { weight: 1, arbitrary: fc.constant<OracleRow[]>([]) },
  )
}

/**
 * Objects in no order of time: days around 2022, around the epoch and before 1970; some are empty. One ledger in three
 * has rows far ahead: without bounds such a row closes everything, so that more of them would leave little to compare.
 */
export function ledgers(windows: OracleInput['windows'], options: LedgerOptions = {}): fc.Arbitrary<OracleObject[]> {
  const { objectsMax = 8, bounded = false } = options
  const object = (base: bigint, farAhead: boolean) =>
    fc.bigInt(0n, 5n).chain(day => {
      const lo = base + day * DAY
      const drawn = rows(lo + 12n * HOUR, windows.everyUs, farAhead, options)
      return bounded
        ? drawn.map((rows): OracleObject => ({ rows, bounds: [lo, lo + DAY] }))
        : drawn.map((rows): OracleObject => ({ rows }))
    })
  return fc
    .tuple(fc.constantFrom(18_993n * DAY, -2n * DAY, -5_000n * DAY), fc.constantFrom(false, false, true))
    .chain(([base, farAhead]) => fc.array(object(base, farAhead), { minLength: 1, maxLength: objectsMax }))
}

/** A whole input; `flush` true unless asked otherwise. */
export function inputs(
  options: LedgerOptions = {},
  flush: fc.Arbitrary<boolean> = fc.boolean(),
): fc.Arbitrary<OracleInput> {
  return fc
    .tuple(windowings(), delays(), flush)
    .chain(([windows, delayUs, flush]) =>
      ledgers(windows, options).map((ledger): OracleInput => ({ ledger, windows, delayUs, flush })),
    )
}

/** Order-preserving cuts of n objects into epochs, as sizes that sum to n: by 1, 2, 3, all at once, or at random. */
export function cuts(n: number): fc.Arbitrary<number[]> {
  const by = (size: number): number[] =>
    Array.from({ length: Math.ceil(n / size) }, (_, epoch) => Math.min(size, n - epoch * size))
  const random = fc
    .array(fc.boolean(), { minLength: Math.max(n - 1, 0), maxLength: Math.max(n - 1, 0) })
    .map(borders => {
      const sizes = n === 0 ? [] : [1]
      for (const border of borders) {
        if (border) sizes.push(1)
        else sizes.push((sizes.pop() ?? 0) + 1)
      }
      return sizes
    })
  return fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(by(1), by(2), by(3), by(Math.max(n, 1))) },
    { weight: 2, arbitrary: random },
  )
}

/** The parts of `items` that a cut's sizes name, in order. */
export function applyCut<T>(items: readonly T[], sizes: readonly number[]): T[][] {
  let from = 0
  return sizes.map(size => items.slice(from, (from += size)))
}
