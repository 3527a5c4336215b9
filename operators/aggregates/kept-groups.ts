import {
  type ColumnTypes,
  goneColumn,
  inputColumn,
  plainTypes,
  type Relation,
  resultColumn,
  timeColumn,
} from '../../src/plan/relation.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import { id } from '../../src/plan/sql.ts'
import type { Channel, Corrections, PartialRows, Stateful, StateChannel } from '../../src/plan/step.ts'
import { emitGroups, type GroupsPlan } from './emit-groups.ts'
import { lateInWindows } from '../late-in-windows.ts'
import { resultKey, singleWindow, takenPartial, toldBy } from './single-window.ts'
import { emptyPartials, type Grain } from './tables.ts'

// A step behind another one whose results late rows may change (S16): what a result was cannot be taken out of partial
// rows again, so the results are kept themselves.

/** What a kept row has beside the columns of the result. */
const keptColumns = {
  _window_end: 'BIGINT',
  [resultColumn]: 'VARCHAR',
  _from_seq: 'BIGINT',
  _from_row: 'BIGINT',
  _at: 'BIGINT',
  [goneColumn]: 'BOOLEAN',
} as const satisfies ColumnTypes

/**
 * Groups in windows of results, each kept once for every window that it is in, in its latest version.
 *
 * @param groups whose tables nothing is written to: partial rows are made where a result is asked for
 * @param input columns of the results that are kept
 */
export function keptGroups(asked: GroupsPlan, input: ColumnTypes, retentionUs: bigint): Stateful {
  const groups = singleWindow(asked)
  const { grain, columns, times } = asked
  const { windows } = grain
  const kept = keptChannel(grain, input, retentionUs)
  /** Partial rows of results of these windows, made of the latest versions. */
  const partialsOf = (parts: readonly PartialRows[], where: string) => {
    const rows = inWindows(latestOf(parts, kept), input, where)
    return (channel: StateChannel): readonly PartialRows[] => [
      { sql: takenPartial(groups, channel, rows), isMerged: true },
    ]
  }
  const ends = (fromUs: bigint | null, toUs: bigint | null) =>
    [
      `NOT ${goneColumn}`,
      ...(fromUs === null ? [] : [`_window_end > ${fromUs}`]),
      ...(toUs === null ? [] : [`_window_end <= ${toUs}`]),
    ].join(' AND ')
  return {
    channels: [kept],
    columns,
    gives: 'closing',
    holdUs: windows.holdUs,
    late: lateInWindows(windows, true),
    emit({ partials, fromUs, toUs }) {
      return emitGroups(groups, { partials: partialsOf(partials(kept), ends(fromUs, toUs)), fromUs, toUs })
    },
    openWindows: (partials, watermarkUs) => {
      const keys = [...groupsIn(grain)].map((_, index) => `k${index} := _key${index}`)
      const group = keys.length > 0 ? `struct_pack(${keys.join(', ')})` : '1'
      const named = [...groupsIn(grain)].map((sql, index) => `${sql} AS _key${index}`)
      const rows = inWindows(latestOf([{ sql: partials, isMerged: false }], kept), input, ends(watermarkUs, null))
      return (
        `SELECT ${times.startOf('_window_end', '_window_start')} AS _window_start, _window_end, ` +
        `count(DISTINCT ${group}) AS groups ` +
        `FROM (SELECT ${['_window_end', ...named].join(', ')} FROM (${rows.sql}) AS _in) GROUP BY _window_end`
      )
    },
    corrections: correctionsOf({ asked, groups, kept, input, partialsOf, ends, retentionUs }),
  }
}

interface Keeping {
  readonly asked: GroupsPlan
  readonly groups: GroupsPlan
  readonly kept: Channel
  readonly input: ColumnTypes
  readonly retentionUs: bigint
  partialsOf(parts: readonly PartialRows[], where: string): (channel: StateChannel) => readonly PartialRows[]
  ends(fromUs: bigint | null, toUs: bigint | null): string
}

function correctionsOf({ asked, groups, kept, input, retentionUs, partialsOf, ends }: Keeping): Corrections {
  const { grain } = asked
  return {
    retentionUs,
    key: resultKey(groups),
    taken: (_, rows) => keptRows(rows.sql, input, 'FALSE'),
    changed: (rows, watermarkUs) => {
      const placed = everyWindow(grain, rows, 'CAST(NULL AS BIGINT)')
      const alive = watermarkUs === null ? '' : ` WHERE _window_end + ${retentionUs} > ${watermarkUs}`
      return keptRows(`SELECT * FROM (${placed})${alive}`, input, goneColumn)
    },
    touched(unit, fresh, committed) {
      const same = `USING (_window_end, ${resultColumn})`
      const before = `SELECT c.* FROM (${committed}) AS c SEMI JOIN (${fresh}) AS f ${same}`
      const keys = grain.keys.map(({ name }, index) => `${groupsIn(grain)[index]} AS ${id(name)}`)
      const items = ['_window_end', ...(unit === 'group' ? keys : [])]
      const named = Object.keys(kept.columns).map(id).join(', ')
      return `SELECT DISTINCT ${items.join(', ')} FROM (SELECT ${named} FROM (${fresh}) UNION ALL ${before}) AS _in`
    },
    results(unit, partials, touched, toUs) {
      const where = `${ends(null, toUs)} AND _window_end IN (SELECT _window_end FROM ${touched})`
      return emitGroups(groups, {
        partials: partialsOf(partials(kept), where),
        fromUs: null,
        toUs,
        touched: { table: touched, columns: toldBy(groups, unit) },
      })
    },
  }
}

function keptChannel(grain: Grain, input: ColumnTypes, retentionUs: bigint): Channel {
  const { windows } = grain
  const columns = { ...keptColumns, ...plainTypes(input) }
  return {
    name: '',
    columns,
    order: ['_window_end', resultColumn, '_from_seq'],
    life: { is: 'row' },
    closesAt: `(_window_end + ${retentionUs})`,
    emitsFrom: '_window_end',
    flushAt: limitUs => `CASE WHEN ${windows.startOf('_window_end')} <= ${limitUs} THEN _window_end END`,
    partial: rows => keptRows(everyWindow(grain, rows, grain.watermark), input, 'FALSE'),
    merge: latestVersions,
  }
}

/** Results once for each of their windows that is open at this watermark, with `_window_end`. */
function everyWindow({ windows, timeUs }: Grain, rows: Relation, watermark: string): string {
  const panes = windows.panes(timeUs, watermark).map((sql, index) => `${sql} AS ${windows.paneColumns[index]}`)
  const open = windows.accepts(timeUs, watermark)
  return windows.windowsOf(`SELECT _in.*, ${panes.join(', ')} FROM (${rows.sql}) AS _in WHERE ${open}`, null, null)
}

/** @param isGone SQL */
function keptRows(rows: string, input: ColumnTypes, isGone: string): string {
  const own = ['_window_end', resultColumn, '_seq AS _from_seq', '_row AS _from_row', `${timeColumn} AS _at`]
  return `SELECT ${[...own, `${isGone} AS ${goneColumn}`, ...Object.keys(input).map(id)].join(', ')} FROM (${rows})`
}

/** A correction is a later version of the same result, and so is that there is none any more. */
function latestVersions(rows: string): string {
  const of = `PARTITION BY _window_end, ${resultColumn} ORDER BY _from_seq DESC`
  return `SELECT * FROM (${rows}) QUALIFY row_number() OVER (${of}) = 1`
}

function latestOf(parts: readonly PartialRows[], kept: Channel): string {
  const columns = Object.keys(kept.columns).map(id).join(', ')
  const all = parts.length === 0 ? [{ sql: emptyPartials(kept) }] : parts
  return latestVersions(all.map(({ sql }) => `SELECT ${columns} FROM (${sql})`).join(' UNION ALL '))
}

/** Kept rows as the step's input, each in its window. */
function inWindows(rows: string, input: ColumnTypes, where: string): Relation {
  const own = ['_from_seq AS _seq', '_from_row AS _row', `_at AS ${timeColumn}`, '_window_end']
  return {
    sql: `SELECT ${[...own, ...Object.keys(input).map(id)].join(', ')} FROM (${rows}) WHERE ${where}`,
    columns: input,
    hidden: ['_seq', '_row', timeColumn, '_window_end'],
  }
}

/** SQL over an input row. */
function groupsIn({ keys }: Grain): readonly string[] {
  return keys.map(({ name, type }) => normalKey(inputColumn(name), type))
}
