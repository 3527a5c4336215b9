import { canonicalDuration, type Duration, durationInWords, durationUs } from '../src/core/duration.ts'
import { configError } from '../src/core/errors.ts'
import { duration, oneOf } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import { parseColumnType } from '../src/core/types.ts'
import {
  type ColumnsOf,
  type MiniBatch,
  type OfTimedRows,
  type Operator,
  step,
  type TimeOf,
  type TookRows,
} from '../src/plan/batches.ts'
import { normalKey } from '../src/plan/normal-key.ts'
import {
  type ColumnTypes,
  inputColumn,
  orderOf,
  type Relation,
  rowNumber,
  timeColumn,
  watermarkColumn,
} from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { Channel, EpochView, RowsContext, Stateful, StatefulStep } from '../src/plan/step.ts'
import { whereCloses } from '../src/plan/window.ts'
import { columnType } from './columns.ts'
import { allRows, lateByTime, rowsByTime, timeOrder } from './rows-by-time.ts'

interface PlainOptions {
  readonly [key: string]: string | readonly string[]
  readonly key: readonly string[]
  readonly within: string
}

/** Times and twice the horizon must fit into 64 bits: event times reach 2^62 microseconds. */
const withinUsMax = 2n ** 60n

export const dedupeStep: StatefulStep<PlainOptions> = {
  is: 'stateful',
  takes: 'rows',
  keepsTimes: true,
  op: 'dedupe',
  tells: ({ key, within, keep = 'first' }) => [
    `by ${key.join(', ')} within ${durationInWords(within)}, the ${keep} row stays`,
  ],
  columns(input, { key }) {
    for (const name of key) columnType('dedupe', name, input)
    return input
  },
  expressions: () => [],
  // A key is a set of columns. The first is kept where nothing else is said: then nothing is, in plans of old either.
  canonical: ({ key, within, ...keep }) => ({
    key: key.toSorted(),
    within: canonicalDuration(within, 'dedupe'),
    ...keep,
  }),
  fold({ input }: RowsContext, { key, within, keep }) {
    const withinUs = durationUs(within, 'dedupe')
    if (keep === 'last') return lastOfKey(input, key, withinUs)
    return firstOfKey(input, key, withinUs, canonicalDuration(within, 'dedupe'))
  },
}

const typeOf = (name: string, columns: ColumnTypes) => parseColumnType(columnType('dedupe', name, columns), name)

/**
 * A row is kept iff no accepted row of its key that came earlier, kept or not, lies within the horizon of it (S11):
 *
 *     time      0 ....... h ....... 2h ......
 *     came 1st       x                          kept
 *     came 2nd  x                               dropped: within h of the first
 *     came 3rd                 x                kept:    more than h after both
 *
 * A row is late once its time plus the horizon is at or below the watermark. So an accepted row has no accepted
 * neighbour more than two horizons behind the watermark, and state keeps a key's times so long.
 */
function firstOfKey(columns: ColumnTypes, key: readonly string[], withinUs: bigint, within: string): Stateful {
  const time = inputColumn(timeColumn)
  const watermark = inputColumn(watermarkColumn)
  const isLate = `${time} + ${withinUs} <= ${watermark}`
  const keys = key.map(name => {
    const type = typeOf(name, columns)
    return { name: id(name), type: type.sql, sql: normalKey(inputColumn(name), type) }
  })
  const names = keys.map(({ name }) => name).join(', ')
  const placed = keys.map(({ name, sql }) => `${sql} AS ${name}`).join(', ')
  const accepted = (rows: Relation) => `FROM (${rows.sql}) AS _in WHERE ${isLate} IS NOT TRUE`
  const seen: Channel = {
    name: '',
    columns: { ...Object.fromEntries(key.map((name, index) => [name, keys[index]?.type as string])), _time: 'BIGINT' },
    order: [...key, timeColumn],
    life: { is: 'row' },
    closesAt: `(${timeColumn} + ${2n * withinUs})`,
    emitsFrom: `(${timeColumn} + ${2n * withinUs})`,
    partial: rows => `SELECT DISTINCT ${placed}, ${time} AS ${timeColumn} ${accepted(rows)}`,
    merge: partials => `SELECT DISTINCT ${names}, ${timeColumn} FROM (${partials})`,
  }

  return {
    channels: [seen],
    columns,
    gives: 'passing',
    holdUs: 0n,
    late: {
      columns: [],
      reason:
        'too late for dedupe: ' +
        `the time of the row and ${within} more end at or below the watermark before the object`,
      mayBe: (timeUs, watermarkUs) => timeUs + withinUs <= watermarkUs,
      rows: rows =>
        `SELECT ${[...orderOf(rows), watermarkColumn, ...Object.keys(rows.columns).map(id)].join(', ')} ` +
        `FROM (${rows.sql}) AS _in WHERE ${isLate}`,
    },
    emit({ rows, committed }: EpochView) {
      const place = orderOf(rows)
      // One number for the place of a row in the ledger; what is committed came before all of it.
      const at = `CAST(${inputColumn('_seq')} AS HUGEINT) * ${2n ** 64n} + ${rowNumber(rows)}`
      const own =
        `SELECT ${placed}, ${time} AS ${timeColumn}, ${at} AS _at, ` +
        `${place.map(inputColumn).join(', ')} ${accepted(rows)}`
      const earlier =
        `SELECT ${names}, ${timeColumn}, -1, ${place.map(() => 'NULL').join(', ')} FROM (${committed(seen)}) AS c ` +
        `SEMI JOIN (SELECT DISTINCT ${names} ` +
        `FROM own) AS o ON ${keys.map(({ name }) => `o.${name} IS NOT DISTINCT FROM c.${name}`).join(' AND ')}`
      const first =
        `min(_at) OVER (PARTITION BY ${names} ORDER BY ${timeColumn} ` +
        `RANGE BETWEEN ${withinUs} PRECEDING AND ${withinUs} FOLLOWING)`
      const kept =
        `WITH own AS MATERIALIZED (${own}) SELECT ${place.join(', ')} ` +
        `FROM (SELECT ${place.join(', ')}, _at, ${first} AS _first ` +
        `FROM (SELECT * FROM own UNION ALL ${earlier})) WHERE _at = _first AND _at >= 0`
      const items = [...place, timeColumn, ...Object.keys(columns)].map(inputColumn)
      const same = place.map(name => `k.${name} = ${inputColumn(name)}`).join(' AND ')
      return {
        sql: `SELECT ${items.join(', ')} FROM (${rows.sql}) AS _in SEMI JOIN (${kept}) AS k ON ${same}`,
        columns,
        hidden: [...place, timeColumn],
        timeUs: timeColumn,
        startUs: timeColumn,
      }
    },
  }
}

/**
 * A row is kept iff no accepted row of its key that is later, by event time and of one time by the ledger's order, lies
 * within the horizon after it (S11):
 *
 *     time      0 ....... h ....... 2h ......
 *               x    x                           dropped: the second lies within h after the first
 *                    |----h----|                 kept:    nothing lies within h after it
 *                                   x            kept
 *
 * It is given once the watermark is above its time and the horizon, as no row can come into these any more: so a row is
 * late when its time is below the watermark, and what follows waits for the horizon too.
 */
function lastOfKey(columns: ColumnTypes, key: readonly string[], withinUs: bigint): Stateful {
  const visible = Object.keys(columns).map(id).join(', ')
  const keys = key.map(name => normalKey(id(name), typeOf(name, columns)))
  const givenAt = `(_at + ${withinUs + 1n})`
  const lastOf = (all: string) => {
    const next = `lead(_at) OVER (PARTITION BY ${keys.join(', ')} ORDER BY ${timeOrder.join(', ')})`
    return `SELECT * FROM (SELECT *, ${next} AS _next FROM (${all})) WHERE _next IS NULL OR _next > _at + ${withinUs}`
  }
  const rows = rowsByTime(columns, {
    closesAt: givenAt,
    // Later rows decide over a row before they are given themselves.
    emitsFrom: '(_at + 1)',
    flushAt: limitUs => `CASE WHEN _at <= ${limitUs} THEN ${givenAt} END`,
    pending: lastOf,
  })
  return {
    channels: [rows],
    columns,
    gives: 'closing',
    holdUs: withinUs,
    late: lateByTime('dedupe', columns),
    emit: ({ partials, fromUs, toUs }) => ({
      sql:
        `SELECT ${timeOrder.join(', ')}, ${visible} FROM (${lastOf(allRows(rows, columns, partials(rows)))})` +
        whereCloses(givenAt, fromUs, toUs),
      columns,
      hidden: timeOrder,
      timeUs: '_at',
      startUs: '_at',
      closesAt: givenAt,
    }),
  }
}

/** Which row of a key stays. */
export interface DedupeOptions {
  /** 'first' is the one that came first, 'last' the last one by event time. Default: 'first'. */
  readonly keep?: 'first' | 'last'
}

const dedupeOptions = {
  horizon: {
    kind: duration("a duration above zero and below 36,000 years, such as '1 day'", us => us > 0n && us <= withinUsMax),
    isRequired: true,
    isPositional: true,
    about: 'Two rows of a key count as the same when their event times are at most so far apart.',
  },
  keep: {
    kind: oneOf('first', 'last'),
    default: 'first',
    about: "Which row of a key stays: 'first' the one that came first, 'last' the last one by event time.",
  },
} satisfies OptionTable<DedupeOptions & { readonly horizon: Duration }>

type Name<I> = keyof ColumnsOf<I> & string

/**
 * Drops rows that were there before: of the rows of a key whose event times lie within the horizon of each other, the
 * one that came first is kept. First is the one that stands earlier in the ledger, whatever its event time.
 *
 *     trips.pipe(dedupe('trip_id', '1 day'), tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count() }))
 *
 * NULL is a key of its own. A row comes too late to be told from earlier ones once its time plus the horizon is at or
 * below the watermark: it goes to the late ledger. State holds the times of each key for two horizons behind the
 * watermark.
 *
 * With `{ keep: 'last' }` a row stays when no row of its key comes within the horizon after it, by event time: of
 * several states of an order that follow one another, the last. It is given once the watermark is above its time and
 * the horizon, and steps behind it wait for the horizon as well. A row whose time is below the watermark goes to the
 * late ledger. State holds the rows that still wait.
 *
 *     orders.pipe(dedupe('order_id', '1 hour', { keep: 'last' }))
 *
 * @param key The column, or columns, by which rows are the same.
 * @param horizon A duration such as '1 day'.
 * @param options Which row of a key stays.
 * @throws MillraceError `user` for an unknown column.
 */
export function dedupe<I>(
  key: NoInfer<OfTimedRows<I, Name<I> | readonly [Name<I>, ...Name<I>[]]>>,
  horizon: Duration,
  options?: DedupeOptions,
): Operator<I, MiniBatch<ColumnsOf<I>, TimeOf<I>, TookRows<ColumnsOf<I>, 'rows'>>> {
  const names: unknown = typeof key === 'string' ? [key] : key
  if (!Array.isArray(names) || names.length === 0 || new Set(names).size < names.length)
    throw configError('dedupe', key, 'a column, or a list of different columns, such as dedupe("trip_id", "1 day")')
  const read = readCall('dedupe', dedupeOptions, [horizon], options)
  const keep = read.keep === 'first' ? {} : { keep: read.keep }
  return step(dedupeStep, { key: names as string[], within: read.horizon, ...keep })
}
