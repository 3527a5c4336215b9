import { type ParsedType, parseColumnType } from '../src/core/types.ts'
import { normalKey } from '../src/plan/normal-key.ts'
import {
  type ColumnTypes,
  inputColumn,
  plainTypes,
  rowNumber,
  timeColumn,
  watermarkColumn,
} from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { Channel, Crowd, EpochView, Stateful } from '../src/plan/step.ts'
import type { WindowAssigner } from '../src/plan/window.ts'
import { emptyPartials } from './aggregates/tables.ts'
import { endColumn, startColumn, windowTimes } from './aggregates/window-times.ts'
import { crowdedHashSql, crowdedKey, crowdedKeySql, type JoinKeys } from './crowded-keys.ts'
import type { JoinKind } from './joined-rows.ts'
import { lateInWindows } from './late-in-windows.ts'

/** A join of rows that are in one window. */
export interface WindowJoin {
  readonly left: ColumnTypes
  readonly right: ColumnTypes
  readonly keys: JoinKeys
  readonly kind: JoinKind
  readonly windows: WindowAssigner
  readonly timeType: ParsedType
  /** Pairs of rows of one key that an epoch may compare. */
  readonly pairsMax: number
  /** Of the result. */
  readonly columns: ColumnTypes
}

const pairPlace = ['_left_seq', '_left_row', '_right_seq', '_right_row']

/**
 * State is the accepted rows of both sides, each once with what places it (S9, S25):
 *
 *     left     |--a---b--|---------|     a and c are a pair; all that a window has is given when it closes, as then
 *     right    |----c----|--d------|     nothing more can come to it: pairs, and rows that have found none
 *
 * So nothing needs to be learnt of which rows have matched, and a row is dead with its last window.
 */
export function joinedWindows(join: WindowJoin): Stateful {
  const { columns, kind, windows, timeType } = join
  const { startOf } = windowTimes(windows, timeType)
  const sides = { left: sideChannel(join, 'left'), right: sideChannel(join, 'right') }
  return {
    channels: [sides.left, sides.right],
    columns,
    ports: ['left', 'right'],
    gives: 'closing',
    holdUs: windows.holdUs,
    ...(windows.beside ? { beside: windows.beside } : {}),
    late: lateInWindows(windows),
    // A row of the left side that has any partner is found without pairs.
    ...(kind === 'semi' || kind === 'anti' ? {} : { crowd: crowdOf(join, sides.left, sides.right) }),
    emit: view => ({
      sql: joinedSql(join, closingRows(join, sides.left, view), closingRows(join, sides.right, view)),
      columns,
      hidden: ['_end', '_start', ...pairPlace],
      timeUs: '(_end - 1)',
      startUs: startOf('_end', '_start'),
      closesAt: '_end',
    }),
  }
}

/** The accepted rows of a side: those that are in any window that is open. Of what is never given the keys are kept. */
function sideChannel({ left, right, keys, kind, windows }: WindowJoin, name: 'left' | 'right'): Channel {
  const isOfLeft = kind === 'semi' || kind === 'anti'
  const compared = Object.fromEntries(keys.map(key => [key.right, right[key.right] as string]))
  const columns = name === 'left' ? left : isOfLeft ? compared : right
  const isOuter = kind === 'full' || kind === name || (kind === 'anti' && name === 'left')
  const [time, watermark] = [inputColumn(timeColumn), inputColumn(watermarkColumn)]
  const panes = windows.panes(time, watermark).map((sql, index) => `${sql} AS ${windows.paneColumns[index]}`)
  // What equals nothing is kept only where it is given for that.
  const areThere = isOuter ? [] : keys.map(key => `${inputColumn(key[name])} IS NOT NULL`)
  const place = ['_from_seq', '_from_row']
  const stored = [...windows.paneColumns, ...place, ...Object.keys(columns).map(id)]
  return {
    name,
    input: name === 'left' ? 0 : 1,
    columns: {
      ...Object.fromEntries([...windows.paneColumns, ...place].map(column => [column, 'BIGINT'])),
      ...plainTypes(columns),
    },
    order: [...windows.paneColumns, ...place],
    life: { is: 'row' },
    closesAt: windows.closesAt,
    emitsFrom: windows.emitsFrom,
    // As of aggregates: a window that has any row is held back, before it is known what comes of it.
    flushAt: limitUs => windows.flushAt(limitUs),
    partial: rows =>
      `SELECT ${[...panes, `${inputColumn('_seq')} AS _from_seq`, `${rowNumber(rows)} AS _from_row`].join(', ')}, ` +
      `${Object.keys(columns).map(inputColumn).join(', ')} FROM (${rows.sql}) AS _in ` +
      `WHERE ${[windows.accepts(time, watermark), ...areThere].join(' AND ')}`,
    // No two rows are one.
    merge: partials => `SELECT ${stored.join(', ')} FROM (${partials})`,
  }
}

/** The rows of a side, once for each of their windows that the watermark closes. */
function closingRows({ windows }: WindowJoin, channel: Channel, { partials, fromUs, toUs }: EpochView): string {
  const columns = Object.keys(channel.columns).map(id).join(', ')
  const parts = partials(channel).map(({ sql }) => `SELECT ${columns} FROM (${sql})`)
  return windows.windowsOf(parts.length === 0 ? emptyPartials(channel) : parts.join(' UNION ALL '), fromUs, toUs)
}

/** The pairs of one key in the windows that close. */
function crowdOf(join: WindowJoin, left: Channel, right: Channel): Crowd {
  const { keys, pairsMax } = join
  const rows = (channel: Channel, view: EpochView) =>
    `SELECT *, _window_end AS _meets, TRUE AS _is_new, TRUE AS _is_first FROM (${closingRows(join, channel, view)})`
  return {
    at: 'closing',
    pairsMax,
    suspect: view => crowdedHashSql(keys, rows(left, view), rows(right, view), pairsMax),
    sql: view => crowdedKeySql(keys, rows(left, view), rows(right, view), pairsMax),
    tells: row => crowdedKey(keys, row, pairsMax, 'take shorter windows'),
  }
}

function joinedSql({ left, right, keys, kind, windows, timeType, columns }: WindowJoin, l: string, r: string): string {
  const { hasOwnStart, startOf, toTime } = windowTimes(windows, timeType)
  const isOfLeft = kind === 'semi' || kind === 'anti'
  const either = (name: string) => (isOfLeft ? `l.${name}` : `coalesce(l.${name}, r.${name})`)
  const end = either('_window_end')
  const start = hasOwnStart ? either('_window_start') : startOf(end, '')
  const same = windows.windowColumns.map(name => `l.${name} = r.${name}`)
  const equal = keys.map(key => {
    const type = parseColumnType(key.type, key.left)
    return `${normalKey(`l.${id(key.left)}`, type)} = ${normalKey(`r.${id(key.right)}`, type)}`
  })
  const values = Object.keys(columns).map(name => {
    if (name === startColumn) return `${toTime(start)} AS ${name}`
    if (name === endColumn) return `${toTime(end)} AS ${name}`
    const key = keys.find(({ left: own }) => own === name)
    // Of a pair it is the left side's: 0.0 equals -0.0.
    if (key && Object.hasOwn(right, key.right) && !isOfLeft)
      return `coalesce(l.${id(name)}, r.${id(key.right)}) AS ${id(name)}`
    return `${Object.hasOwn(left, name) ? 'l' : 'r'}.${id(name)}`
  })
  const places = ['l._from_seq', 'l._from_row', 'r._from_seq', 'r._from_row'].map((name, index) => {
    const value = isOfLeft && name.startsWith('r.') ? 'CAST(NULL AS BIGINT)' : name
    return `${value} AS ${pairPlace[index]}`
  })
  return (
    `SELECT ${[`${end} AS _end`, `${start} AS _start`, ...places, ...values].join(', ')} ` +
    `FROM (${l}) AS l ${kind.toUpperCase()} JOIN (${r}) AS r ON ${[...same, ...equal].join(' AND ')}`
  )
}
