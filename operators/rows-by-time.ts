import {
  type ColumnTypes,
  inputColumn,
  orderOf,
  plainTypes,
  rowNumber,
  timeColumn,
  watermarkColumn,
} from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { LateRows } from '../src/plan/late-rows.ts'
import type { Channel, PartialRows } from '../src/plan/step.ts'
import { emptyPartials } from './aggregates/tables.ts'

// What steps share that see rows in the order of event time, and of one time in the ledger's order (S25).

/** The columns that order kept rows totally. */
export const timeOrder = ['_at', '_from_seq', '_from_row'] as const

const order = timeOrder.join(', ')
const visible = (columns: ColumnTypes) => Object.keys(columns).map(id).join(', ')

/** State of whole rows: those whose time is not below the watermark before their own entry. */
export function rowsByTime(
  columns: ColumnTypes,
  life: Pick<Channel, 'closesAt' | 'emitsFrom' | 'flushAt' | 'pending'>,
): Channel {
  const time = inputColumn(timeColumn)
  const watermark = inputColumn(watermarkColumn)
  return {
    name: '',
    columns: { _at: 'BIGINT', _from_seq: 'BIGINT', _from_row: 'BIGINT', ...plainTypes(columns) },
    order: timeOrder,
    life: { is: 'row' },
    ...life,
    partial: relation =>
      `SELECT ${time} AS _at, ${inputColumn('_seq')} AS _from_seq, ${rowNumber(relation)} AS _from_row, ` +
      `${Object.keys(columns).map(inputColumn).join(', ')} FROM (${relation.sql}) AS _in ` +
      `WHERE (${watermark} IS NULL OR ${time} >= ${watermark})`,
    // No two rows are one.
    merge: partials => `SELECT ${order}, ${visible(columns)} FROM (${partials})`,
  }
}

/** The others. */
export function lateByTime(op: string, columns: ColumnTypes): LateRows {
  const watermark = inputColumn(watermarkColumn)
  return {
    columns: [],
    reason: `too late for ${op}: the time of the row is below the watermark before the object`,
    mayBe: (timeUs, watermarkUs) => timeUs < watermarkUs,
    rows: relation =>
      `SELECT ${[...orderOf(relation), watermarkColumn, visible(columns)].join(', ')} ` +
      `FROM (${relation.sql}) AS _in WHERE ${inputColumn(timeColumn)} < ${watermark}`,
  }
}

/** All rows of the channel that a view has. */
export function allRows(channel: Channel, columns: ColumnTypes, parts: readonly PartialRows[]): string {
  if (parts.length === 0) return emptyPartials(channel)
  return parts.map(({ sql }) => `SELECT ${order}, ${visible(columns)} FROM (${sql})`).join(' UNION ALL ')
}
