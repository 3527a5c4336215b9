import { canonicalDuration, type Duration, durationInWords, durationUs } from '../src/core/duration.ts'
import { configError } from '../src/core/errors.ts'
import { duration, list, text } from '../src/core/option-kinds.ts'
import { optionError, type OptionTable, readCall } from '../src/core/options.ts'
import { type KeysOf, type Numeric, parseColumnType, type Show, type SumOf } from '../src/core/types.ts'
import {
  type ColumnsOf,
  type MiniBatch,
  type OfTimedRows,
  operator,
  type Operator,
  type TimeOf,
  type TookRows,
} from '../src/plan/batches.ts'
import { groupsContext, inputOf, line, type PlanNode } from '../src/plan/node.ts'
import { normalKey } from '../src/plan/normal-key.ts'
import type { ColumnTypes } from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { GroupsContext, RowsContext, Stateful, StatefulStep } from '../src/plan/step.ts'
import { whereCloses } from '../src/plan/window.ts'
import { checkNewName, columnType, perTold } from './columns.ts'
import { allRows, lateByTime, rowsByTime, timeOrder } from './rows-by-time.ts'

interface PlainOptions {
  readonly [key: string]: string | readonly string[]
  readonly of: readonly string[]
  readonly per: readonly string[]
  readonly expireAfter: string
}

/** Times and what is added to them must fit into 64 bits: event times reach 2^62 microseconds. */
const expireUsMax = 2n ** 60n

export const deltasStep: StatefulStep<PlainOptions> = {
  is: 'stateful',
  takes: 'rows',
  keepsTimes: true,
  op: 'deltas',
  tells: ({ of, per, expireAfter }) => [
    `of ${of.join(', ')}${perTold(per)}, forgotten after ${durationInWords(expireAfter)}`,
  ],
  columns: (input, { of, per }) => {
    for (const name of per) columnType('deltas: per', name, input)
    return { ...input, ...deltaColumns(input, of) }
  },
  expressions: () => [],
  // Keys are a set of columns; of the others the order is that of the result's columns.
  canonical: ({ of, per, expireAfter }) => ({
    of,
    per: per.toSorted(),
    expireAfter: canonicalDuration(expireAfter, 'deltas'),
  }),
  fold: ({ input }: RowsContext, { of, per, expireAfter }) =>
    deltasPerKey(input, of, per, durationUs(expireAfter, 'deltas')),
}

const deltaName = (name: string) => `${name}_delta`

/** The new columns: wide enough that no difference of integers overflows, and NULL where there is nothing before. */
function deltaColumns(input: ColumnTypes, of: readonly string[]): ColumnTypes {
  const entries = of.map(name => {
    checkNewName('deltas: of', deltaName(name), Object.keys(input))
    if (Object.hasOwn(input, deltaName(name)))
      throw configError(
        'deltas: of',
        name,
        `a column for which there is no '${deltaName(name)}' yet; rename that first`,
      )
    return [deltaName(name), deltaType(name, input)] as const
  })
  return Object.fromEntries(entries)
}

function deltaType(name: string, input: ColumnTypes): string {
  const { name: type, list: isList, scale } = parseColumnType(columnType('deltas: of', name, input), name)
  if (isList) throw configError('deltas: of', name, 'a column of numbers')
  switch (type) {
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
    case 'UBIGINT':
      return 'DECIMAL(38,0)'
    case 'DECIMAL':
      return `DECIMAL(38,${scale as number})`
    case 'FLOAT':
    case 'DOUBLE':
      return 'DOUBLE'
    default:
      throw configError('deltas: of', name, 'a column of numbers')
  }
}

/**
 * Rows of a key in the order of event time, and of one time in the ledger's order (S25). A row is given once the
 * watermark is above its time, when no row can come before it any more:
 *
 *     time     0 .... X .... 2X
 *     row      a   b           c      b is given with b - a; c with NULL, as b lies more than X before it
 *
 * So a row is late when its time is below the watermark, and state keeps it for X after its time: it may be what the
 * next one is compared with.
 */
function deltasPerKey(columns: ColumnTypes, of: readonly string[], per: readonly string[], expireUs: bigint): Stateful {
  const visible = Object.keys(columns).map(id).join(', ')
  const rows = rowsByTime(columns, {
    closesAt: `(_at + ${expireUs + 1n})`,
    emitsFrom: '(_at + 1)',
    flushAt: limitUs => `CASE WHEN _at <= ${limitUs} THEN _at + 1 END`,
  })
  const keys = per.map(name => normalKey(id(name), parseColumnType(columnType('deltas: per', name, columns), name)))
  const within = keys.length === 0 ? '' : `PARTITION BY ${keys.join(', ')} `
  const differences = of.map((name, index) => {
    const wide = (value: string) => `CAST(${value} AS ${deltaType(name, columns)})`
    const difference = `${wide(id(name))} - ${wide(`_before${index}`)}`
    return `CASE WHEN _before_at >= _at - ${expireUs} THEN ${difference} END AS ${id(deltaName(name))}`
  })

  return {
    channels: [rows],
    columns: { ...columns, ...deltaColumns(columns, of) },
    gives: 'closing',
    holdUs: 0n,
    late: lateByTime('deltas', columns),
    emit({ partials, fromUs, toUs }) {
      const before = of.map((name, index) => `lag(${id(name)}) OVER w AS _before${index}`)
      const all = allRows(rows, columns, partials(rows))
      const compared =
        `SELECT *, lag(_at) OVER w AS _before_at, ${before.join(', ')} FROM (${all}) ` +
        `WINDOW w AS (${within}ORDER BY ${timeOrder.join(', ')})`
      return {
        sql:
          `SELECT ${[...timeOrder, visible, ...differences].join(', ')} FROM (${compared})` +
          whereCloses('(_at + 1)', fromUs, toUs),
        columns: { ...columns, ...deltaColumns(columns, of) },
        hidden: timeOrder,
        timeUs: '_at',
        startUs: '_at',
        closesAt: '(_at + 1)',
      }
    },
  }
}

/** What the rows are compared by. */
export interface DeltasOptions<K extends string = string, P extends string = string> {
  /** Columns of numbers: each gives a column of its name and `_delta`. */
  readonly of: readonly [K, ...K[]]
  /** Rows of equal values follow one another. Default: the columns of `groupBy` of the aggregate before it. */
  readonly per?: readonly P[]
  /** A row that comes longer after the one before it is compared with nothing. */
  readonly expireAfter: Duration
}

const names = list(text('the name of a column'), 'a list of names of columns')
const deltasOptions = {
  of: { kind: names, isRequired: true, about: 'Columns of numbers whose differences are asked for.' },
  per: {
    kind: names,
    otherwise: 'the columns of groupBy of the aggregate before it',
    about: 'Rows of equal values in these columns follow one another.',
  },
  expireAfter: {
    kind: duration('a duration above zero and below 36,000 years', us => us > 0n && us <= expireUsMax),
    isRequired: true,
    about: 'A row that comes longer after the one before it is compared with nothing, and state keeps rows so long.',
  },
} satisfies OptionTable<{
  readonly of: readonly string[]
  readonly per?: readonly string[]
  readonly expireAfter: Duration
}>

type Deltas<C, K extends string> = Show<C & { [N in K as `${N}_delta`]: N extends keyof C ? SumOf<C[N]> : never }>

/**
 * Compares each row with the one before it of the same key, by event time: how much more was it than in the window
 * before?
 *
 *     trips.pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count() }),
 *       deltas({ of: ['trips'], expireAfter: '1 day' }))
 *
 * Adds a column for each of `of`, here `trips_delta`: DECIMAL(38,0) of integers, DECIMAL(38,s) of DECIMAL(p,s), DOUBLE
 * of the others; NULL where there is no row before it, or none for longer than `expireAfter`. Rows come once the
 * watermark is above their time. A row whose time is below the watermark goes to the late ledger.
 *
 * @throws MillraceError `user` for an unknown column, or one that is no number.
 */
export function deltas<I, const K extends KeysOf<ColumnsOf<I>, Numeric>, const P extends keyof ColumnsOf<I> & string>(
  options: OfTimedRows<I, DeltasOptions<K, P>>,
): Operator<I, MiniBatch<Deltas<ColumnsOf<I>, K>, TimeOf<I>, TookRows<ColumnsOf<I>, 'rows'>>> {
  const { of, per, expireAfter } = readCall('deltas', deltasOptions, [], options)
  for (const [field, found] of [
    ['deltas: of', of],
    ['deltas: per', per ?? []],
  ] as const)
    if (new Set(found).size < found.length) throw configError(field, found, 'each column once')
  const given = { of, expireAfter, ...(per === undefined ? {} : { per }) }
  return operator(deltasStep, given, (batch, at) => {
    const before = groupBefore(batch.node)
    const keys = per ?? before?.keys
    if (keys === undefined)
      throw optionError('deltas', {
        is: 'missing',
        path: 'per',
        expected: 'the columns of which rows with equal values follow one another, as no aggregate comes before it',
      })
    if (before) checkReach(before, keys, expireAfter)
    return batch.apply(deltasStep, { of, per: keys, expireAfter }, at) as never
  })
}

interface GroupBefore extends GroupsContext {
  /** Each result is one row still: no function, and nothing else, has made several of it. */
  readonly isRowByRow: boolean
}

/** The aggregate that gives the rows. */
function groupBefore(node: PlanNode): GroupBefore | undefined {
  const nodes = line(node)
  const place = nodes.findLastIndex(({ step }) => step.is === 'stateful')
  const state = nodes[place]
  if (state?.step.is !== 'stateful' || state.step.takes !== 'groups') return undefined
  const isRowByRow = nodes.slice(place + 1).every(({ step }) => step.is === 'stateless' && step.carries)
  return { ...groupsContext(inputOf(state), 'deltas'), isRowByRow }
}

/** Results of one key are at least as far apart as the ends of its windows. */
function checkReach({ windows, keys, isRowByRow }: GroupBefore, per: readonly string[], expireAfter: string): void {
  if (!isRowByRow || !keys.every(key => per.includes(key))) return
  const end = windows.firstEnd(0n)
  const apartUs = windows.firstEnd(end) - end
  if (durationUs(expireAfter, 'deltas') >= apartUs) return
  const apart = canonicalDuration(`${apartUs / 1_000n}ms`, 'deltas')
  throw configError(
    'deltas: expireAfter',
    expireAfter,
    `at least '${apart}', as results of a key are so far apart: with less none would be compared`,
  )
}
