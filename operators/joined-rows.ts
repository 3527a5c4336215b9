import { parseColumnType } from '../src/core/types.ts'
import { normalKey } from '../src/plan/normal-key.ts'
import {
  type ColumnTypes,
  inputColumn,
  orderOf,
  plainTypes,
  type Relation,
  rowNumber,
  timeColumn,
  watermarkColumn,
} from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { LateRows } from '../src/plan/late-rows.ts'
import type { Channel, ChannelView, Crowd, LearntChannel, StateChannel, Stateful } from '../src/plan/step.ts'
import { crowdedHashSql, crowdedKey, crowdedKeySql, type JoinKeys } from './crowded-keys.ts'

/** What rows are given: pairs, with the rows of one side or of both that have none; or rows of the left side alone. */
export type JoinKind = 'inner' | 'left' | 'right' | 'full' | 'semi' | 'anti'

/** A join of rows whose times lie within an interval of each other. */
export interface IntervalJoin {
  readonly left: ColumnTypes
  readonly right: ColumnTypes
  readonly keys: JoinKeys
  /** Microseconds: the time of the right row less that of the left row. */
  readonly lo: bigint
  readonly hi: bigint
  readonly kind: JoinKind
  /** Pairs of rows of one key that an epoch may compare. */
  readonly pairsMax: number
  /** Of the result. */
  readonly columns: ColumnTypes
}

const rowPlace = ['_at', '_from_seq', '_from_row']
const pairPlace = ['_left_seq', '_left_row', '_right_seq', '_right_row']
const matchColumns = ['_side', '_from_seq', '_from_row', '_entry', '_until']
const noNumber = 'CAST(NULL AS BIGINT)'

/** One of the two inputs. */
interface Side {
  readonly name: 'left' | 'right'
  readonly number: 0 | 1
  /** The rows that have matched nothing are given. */
  readonly isOuter: boolean
  readonly channel: Channel
}

/** The sides of a join, and what they need of one another. */
interface Joining {
  readonly join: IntervalJoin
  readonly left: Side
  readonly right: Side
  readonly matched: LearntChannel
}

/**
 * State is the accepted rows of both sides, and which of them have matched (S12):
 *
 *     left row at t     |----- a right row matches that lies here -----|
 *                     t + lo                                         t + hi    it dies when the watermark is past this
 *
 * A right row lives as long as a left row may come that it matches: until the watermark is past its time less `lo`. A
 * pair is given at the later of the entries of its rows; a row without one when it dies, never before its own entry.
 */
export function joinedRows(join: IntervalJoin): Stateful {
  const { kind, columns } = join
  const joining = joiningOf(join)
  const { left, right, matched } = joining
  const outer = [left, right].filter(({ isOuter }) => isOuter)
  return {
    channels: [left.channel, right.channel],
    ...(kind !== 'inner' && { learnt: [matched] }),
    columns,
    ports: ['left', 'right'],
    gives: outer.length === 0 ? 'passing' : 'both',
    holdUs: holdOf(join),
    late,
    crowd: crowdOf(joining),
    emit(view) {
      const parts = [
        ...(isOfLeft(join) ? [] : [givenPairs(joining, view)]),
        ...(kind === 'semi' ? [firstMatches(joining, view)] : []),
        ...outer.map(side => unmatched(joining, side, view, view.toUs)),
      ]
      return {
        sql: parts.join(' UNION ALL '),
        columns,
        hidden: pairPlace,
        timeUs: '_at',
        startUs: '_at',
        closesAt: '_due',
        notBefore: '_not_before',
      }
    },
  }
}

const late: LateRows = {
  columns: [],
  reason: 'too late for join: the time of the row is below the watermark before the object',
  mayBe: (timeUs, watermarkUs) => timeUs < watermarkUs,
  rows: rows =>
    `SELECT ${[...orderOf(rows), watermarkColumn, ...Object.keys(rows.columns).map(id)].join(', ')} ` +
    `FROM (${rows.sql}) AS _in WHERE ${inputColumn(timeColumn)} < ${inputColumn(watermarkColumn)}`,
}

/** Rows of the left side alone are given. */
function isOfLeft({ kind }: IntervalJoin): boolean {
  return kind === 'semi' || kind === 'anti'
}

/** How far behind the watermark the rows may lie that are still given (S13). */
function holdOf({ kind, lo, hi }: IntervalJoin): bigint {
  const [ofLeft, ofRight] = [hi > 0n ? hi : 0n, lo < 0n ? -lo : 0n]
  if (kind === 'inner') return 0n
  if (kind === 'right') return ofRight
  return kind === 'full' && ofRight > ofLeft ? ofRight : ofLeft
}

function joiningOf(join: IntervalJoin): Joining {
  const { left, right, keys, lo, hi, kind } = join
  const isOuter = (...kinds: readonly JoinKind[]) => kinds.includes(kind)
  // Of rows that are never given only what is compared is kept.
  const ofRight = isOfLeft(join) ? Object.fromEntries(keys.map(key => [key.right, right[key.right] as string])) : right
  const side = (name: 'left' | 'right', columns: ColumnTypes, isOuterSide: boolean, closesAt: string): Side => {
    const channel = rowsChannel(join, name, columns, closesAt)
    const plain: Side = { name, number: name === 'left' ? 0 : 1, isOuter: isOuterSide, channel }
    if (!isOuterSide) return { ...plain, channel: { ...channel, partial: rows => withKeys(join, name, channel, rows) } }
    const pending = (partials: string, view: ChannelView) =>
      `SELECT * FROM (${partials}) AS e ANTI JOIN ${matchesOf(joining, plain, view)}`
    const flushAt = (limitUs: bigint) => `CASE WHEN _at <= ${limitUs} THEN ${closesAt} END`
    return { ...plain, channel: { ...channel, pending, flushAt } }
  }
  const joining: Joining = {
    join,
    left: side('left', left, isOuter('left', 'full', 'anti'), `(_at + ${hi + 1n})`),
    right: side('right', ofRight, isOuter('right', 'full'), `(_at + ${1n - lo})`),
    matched: {
      name: 'matched',
      columns: Object.fromEntries(matchColumns.map(name => [name, 'BIGINT'])),
      order: matchColumns.slice(0, 3),
      life: { is: 'row' },
      closesAt: '_until',
      emitsFrom: '_until',
      merge: partials => `SELECT ${matchColumns.join(', ')} FROM (${partials})`,
      learn: view =>
        [joining.left, joining.right]
          .filter(({ isOuter: matters, number }) => matters || (kind === 'semi' && number === 0))
          .map(own => newMatches(joining, own, view))
          .join(' UNION ALL '),
    },
  }
  return joining
}

/** The accepted rows of a side. */
function rowsChannel(join: IntervalJoin, name: 'left' | 'right', columns: ColumnTypes, closesAt: string): Channel {
  const names = Object.keys(columns)
  return {
    name,
    input: name === 'left' ? 0 : 1,
    columns: { _at: 'BIGINT', _from_seq: 'BIGINT', _from_row: 'BIGINT', ...plainTypes(columns) },
    order: rowPlace,
    life: { is: 'row' },
    closesAt,
    emitsFrom: closesAt,
    partial: rows =>
      `SELECT ${inputColumn(timeColumn)} AS _at, ${inputColumn('_seq')} AS _from_seq, ` +
      `${rowNumber(rows)} AS _from_row, ${names.map(inputColumn).join(', ')} FROM (${rows.sql}) AS _in ` +
      `WHERE (${inputColumn(timeColumn)} < ${inputColumn(watermarkColumn)}) IS NOT TRUE`,
    merge: partials => `SELECT ${[...rowPlace, ...names.map(id)].join(', ')} FROM (${partials})`,
  }
}

/** What equals nothing is kept only where it is given for that. */
function withKeys({ keys }: IntervalJoin, name: 'left' | 'right', { partial }: Channel, rows: Relation): string {
  const areThere = keys.map(key => `${inputColumn(key[name])} IS NOT NULL`)
  return `${partial(rows)} AND ${areThere.join(' AND ')}`
}

/** SQL behind JOIN: what is known to have matched of the rows `e` of a side. */
function matchesOf({ matched }: Joining, { number }: Side, view: ChannelView): string {
  return (
    `(SELECT * FROM (${all(view, matched)}) WHERE _side = ${number}) AS m ` +
    'ON m._from_seq = e._from_seq AND m._from_row = e._from_row'
  )
}

function all(view: ChannelView, channel: StateChannel): string {
  return `${view.committed(channel)} UNION ALL ${view.own(channel)}`
}

/** SQL over rows `l` and `r`: the pairs of which one at least is new. */
function pairs({ join, left, right }: Joining, view: ChannelView, items: readonly string[]): string {
  const { own, committed } = view
  const together = [
    [own, own],
    [own, committed],
    [committed, own],
  ] as const
  return together.map(([l, r]) => pairsOf(join, l(left.channel), r(right.channel), items)).join(' UNION ALL ')
}

/**
 * Times are compared within buckets as wide as the interval: a left row belongs to two of them at most, so that a key
 * of many rows costs what its pairs cost.
 */
function pairsOf(join: IntervalJoin, left: string, right: string, items: readonly string[]): string {
  const { keys, lo, hi } = join
  const { ofLeft, ofRight } = bucketsOf(join)
  const equal = keys.map(key => {
    const type = parseColumnType(key.type, key.left)
    return `${normalKey(`l.${id(key.left)}`, type)} = ${normalKey(`r.${id(key.right)}`, type)}`
  })
  return (
    `SELECT ${items.join(', ')} FROM (SELECT *, unnest(${ofLeft}) AS _bucket FROM (${left})) AS l ` +
    `JOIN (SELECT *, ${ofRight} AS _bucket FROM (${right})) AS r ` +
    `ON l._bucket = r._bucket AND ${equal.join(' AND ')} AND r._at - l._at BETWEEN ${lo} AND ${hi}`
  )
}

/** SQL over `_at`: the buckets of a left row, a list, and that of a right row. */
function bucketsOf({ lo, hi }: IntervalJoin): { readonly ofLeft: string; readonly ofRight: string } {
  const width = hi > lo ? hi - lo : 1n
  return {
    ofLeft: `range((_at + ${lo}) // ${width}, (_at + ${hi}) // ${width} + 1)`,
    ofRight: `_at // ${width}`,
  }
}

/** The pairs that the join compares: those of one key that are in one bucket, and not both of earlier epochs. */
function crowdOf({ join, left, right }: Joining): Crowd {
  const { keys, pairsMax } = join
  const { ofLeft, ofRight } = bucketsOf(join)
  const both = (view: ChannelView, { channel }: Side) =>
    `SELECT *, FALSE AS _is_new FROM (${view.committed(channel)}) ` +
    `UNION ALL SELECT *, TRUE AS _is_new FROM (${view.own(channel)})`
  return {
    at: 'new rows',
    sides: [left.channel, right.channel],
    pairsMax,
    suspect: view => crowdedHashSql(keys, both(view, left), both(view, right), pairsMax),
    sql(view) {
      const inBuckets = `SELECT *, ${ofLeft} AS _buckets, unnest(_buckets) AS _meets FROM (${both(view, left)})`
      return crowdedKeySql(
        keys,
        `SELECT *, _meets = _buckets[1] AS _is_first FROM (${inBuckets})`,
        `SELECT *, ${ofRight} AS _meets, TRUE AS _is_first FROM (${both(view, right)})`,
        pairsMax,
      )
    },
    tells: row => crowdedKey(keys, row, pairsMax, 'narrow the interval'),
  }
}

/** The rows of a side that match for the first time, and at which entry. */
function newMatches(joining: Joining, { number, channel }: Side, view: ChannelView): string {
  const own = number === 0 ? 'l' : 'r'
  const row = [`${own}._from_seq`, `${own}._from_row`, `${own}._at`]
  const matches = pairs(joining, view, [...row, 'greatest(l._from_seq, r._from_seq) AS _entry'])
  const found =
    `SELECT _from_seq, _from_row, _at, min(_entry) AS _entry FROM (${matches}) ` + 'GROUP BY _from_seq, _from_row, _at'
  const known = `(SELECT * FROM (${view.committed(joining.matched)}) WHERE _side = ${number})`
  return (
    `SELECT CAST(${number} AS BIGINT) AS _side, e._from_seq, e._from_row, e._entry, ${channel.closesAt} AS _until ` +
    `FROM (${found}) AS e ANTI JOIN ${known} AS m ON m._from_seq = e._from_seq AND m._from_row = e._from_row`
  )
}

function givenPairs(joining: Joining, view: ChannelView): string {
  const { columns, left } = joining.join
  const values = Object.keys(columns).map(name => `${Object.hasOwn(left, name) ? 'l' : 'r'}.${id(name)}`)
  return pairs(joining, view, [
    'greatest(l._from_seq, r._from_seq) AS _not_before',
    `${noNumber} AS _due`,
    'greatest(l._at, r._at) AS _at',
    ...placed(['l._from_seq', 'l._from_row', 'r._from_seq', 'r._from_row']),
    ...values,
  ])
}

/** Rows of a side that die without a match. */
function unmatched(joining: Joining, side: Side, view: ChannelView, toUs: bigint | null): string {
  const { closesAt } = side.channel
  const rows = all(view, side.channel)
  const dead = `(SELECT *, ${closesAt} AS _due FROM (${rows}) WHERE ${closesAt} <= ${toUs ?? 'NULL'}) AS e`
  return givenRows(joining, side, 'e._from_seq', 'e._due', `${dead} ANTI JOIN ${matchesOf(joining, side, view)}`)
}

/** Rows of the left side, each with its first match. */
function firstMatches(joining: Joining, view: ChannelView): string {
  const { left, matched } = joining
  const found = `(${view.own(matched)}) AS m ON m._from_seq = e._from_seq AND m._from_row = e._from_row`
  return givenRows(joining, left, 'm._entry', noNumber, `(${all(view, left.channel)}) AS e JOIN ${found}`)
}

/** @param notBefore the entry of each @param due the watermark that makes it final @param from the rows, as `e` */
function givenRows({ join }: Joining, { name }: Side, notBefore: string, due: string, from: string): string {
  const { left, keys, columns } = join
  const values = Object.entries(columns).map(([column, type]) => {
    const key = keys.find(({ left: own }) => own === column)
    if (name === 'right' && key) return `e.${id(key.right)} AS ${id(column)}`
    if (Object.hasOwn(left, column) === (name === 'left')) return `e.${id(column)}`
    return `CAST(NULL AS ${parseColumnType(type, column).sql}) AS ${id(column)}`
  })
  const own = ['e._from_seq', 'e._from_row']
  const place = placed(name === 'left' ? [...own, noNumber, noNumber] : [noNumber, noNumber, ...own])
  const items = [`${notBefore} AS _not_before`, `${due} AS _due`, 'e._at', ...place, ...values]
  return `SELECT ${items.join(', ')} FROM ${from}`
}

function placed(values: readonly string[]): readonly string[] {
  return pairPlace.map((name, index) => `${values[index]} AS ${name}`)
}
