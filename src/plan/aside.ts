import { configError, MillraceError } from '../core/errors.ts'
import { foldStep, inputOf, type PlanNode, timeTypeOf } from './node.ts'
import { type ColumnTypes, ordinalColumn, type Relation, timeFromMicroseconds, watermarkColumn } from './relation.ts'
import { id, text } from './sql.ts'
import type { AsideStep } from './step.ts'

/*
 * Rows that were set aside, as flows of their own. They are made of what the ledger has of them, so they are the same
 * whatever the cut (law 1).
 */

export const lateStep: AsideStep = { is: 'aside', op: 'late' }
export const quarantineStep: AsideStep = { is: 'aside', op: 'quarantine' }

/** What tells such rows apart: an object's row may be late for several windows, or have several faults. */
const asideHidden = ['_seq', '_row', ordinalColumn] as const

/** No row of what was set aside, for DuckDB to bind. */
export function noAside(columns: ColumnTypes): Relation {
  const nothing = [...asideHidden.map(name => [name, 'BIGINT']), ...Object.entries(columns)]
  const items = nothing.map(
    ([name = '', type = '']) => `CAST(NULL AS ${type.replace(/ NOT NULL$/, '')}) AS ${id(name)}`,
  )
  return { sql: `SELECT ${items.join(', ')} WHERE FALSE`, columns, hidden: asideHidden }
}

/** What late rows have behind their own columns: why they are late, and where they come from. */
const lateNames = {
  start: 'late_window_start',
  end: 'late_window_end',
  watermark: 'late_watermark',
  object: 'late_object',
  row: 'late_row',
} as const

/** Of a step with several inputs: the name of the one. */
export type LateOptions = { readonly side?: string }

/** The columns of the late rows of a step: those of the rows as the step saw them, and why they are late. */
export function lateColumns(node: PlanNode, options: LateOptions): ColumnTypes {
  const { op, step, inputs } = node
  if (step.is !== 'stateful')
    throw new MillraceError(
      'user',
      'plan',
      `late: rows are late for a step that keeps state, and the flow ends with ${op} here; ` +
        'give it the flow right behind the step: const hourly = trips.pipe(tumbling(...), groupBy(...), ' +
        'aggregate({...})), and late(hourly).',
    )
  const { ports, late, isEndless } = foldStep(inputs, step, node.options as never)
  if (isEndless)
    throw new MillraceError('user', 'plan', 'late: no row is late for global(...), which closes at the end.')
  const { side } = options
  if (ports === undefined && side !== undefined) throw configError('late: side', side, `none, as ${op} has one input`)
  if (ports !== undefined && !ports.includes(side ?? ''))
    throw configError(
      'late: side',
      side,
      `which side of the ${op} the rows are late on: ${ports.map(port => `late(flow, '${port}')`).join(' or ')}`,
    )
  const own = inputs[ports?.indexOf(side ?? '') ?? 0]?.columns ?? {}
  const added = lateTypes(timeTypeOf(node), late.columns.length > 0)
  const names = new Map(Object.keys(own).map(name => [name.toLowerCase(), name]))
  const clash = Object.keys(added).find(name => names.has(name))
  if (clash !== undefined)
    throw new MillraceError(
      'user',
      'plan',
      `late: the rows have a column '${names.get(clash)}' already; give it another name before ${op}: ` +
        `rename({ ${names.get(clash)}: '...' }).`,
    )
  return { ...own, ...added }
}

function lateTypes(time: string, hasWindows: boolean): ColumnTypes {
  const { start, end, watermark, object, row } = lateNames
  return {
    // They may be NULL, so that late rows of steps with and without windows can be one flow.
    ...(hasWindows && { [start]: time, [end]: time }),
    // That of dates may lie within a day.
    [watermark]: `${time === 'DATE' ? 'TIMESTAMP' : time} NOT NULL`,
    [object]: 'VARCHAR',
    [row]: 'BIGINT',
  }
}

/** Which of a step's inputs late rows are of. @param node that of `late` */
export function lateIndex(node: PlanNode): number {
  const before = inputOf(node)
  const { side } = node.options as LateOptions
  if (before.step.is !== 'stateful' || side === undefined) return 0
  return foldStep(before.inputs, before.step, before.options as never).ports?.indexOf(side) ?? 0
}

/** The late rows of one input of a step in an epoch, as the ledger has them. */
export interface LateTable {
  /** Its columns are those of `LateRows.rows`. */
  readonly table: string
  /** Hidden columns of the rows that were judged, which order them. */
  readonly order: readonly string[]
  /** What the step has added to tell of which window a row is late. */
  readonly windows: readonly string[]
  /** SQL rows (seq, object). */
  readonly objects: string
}

/** Those rows as a flow begins with them. @param node that of `late` */
export function lateRelation(node: PlanNode, { table, order, windows, objects }: LateTable): Relation {
  const { columns } = node
  const time = timeTypeOf(inputOf(node))
  const names = lateNames
  const added: Readonly<Record<string, string>> = {
    [names.start]: timeFromMicroseconds('l._window_start', time),
    [names.end]: timeFromMicroseconds('l._window_end', time),
    [names.watermark]: timeFromMicroseconds(`l.${watermarkColumn}`, time === 'DATE' ? 'TIMESTAMP' : time),
    [names.object]: 'o.object',
    [names.row]: 'CASE WHEN o.object IS NOT NULL THEN l._row END',
  }
  const apart = [...order, ...windows].filter(name => name !== '_seq' && name !== '_row')
  const by = apart.length === 0 ? '' : ` ORDER BY ${apart.map(name => `l.${id(name)} NULLS LAST`).join(', ')}`
  const items = Object.keys(columns).map(name => `${added[name] ?? `l.${id(name)}`} AS ${id(name)}`)
  return {
    sql:
      `SELECT l._seq, l._row, ` +
      `row_number() OVER (PARTITION BY l._seq, l._row${by}) - 1 AS ${ordinalColumn}, ` +
      `${items.join(', ')} FROM ${table} AS l LEFT JOIN (${objects}) AS o ON o.seq = l._seq`,
    columns,
    hidden: asideHidden,
  }
}

/** What is told of rows that a source has set aside, and of objects of which it read none. */
export const quarantineColumns = {
  source: 'VARCHAR NOT NULL',
  seq: 'BIGINT NOT NULL',
  object: 'VARCHAR NOT NULL',
  e_tag: 'VARCHAR NOT NULL',
  row_number: 'BIGINT',
  column_name: 'VARCHAR',
  expected: 'VARCHAR',
  found: 'VARCHAR',
  reason: 'VARCHAR',
} as const satisfies ColumnTypes

/** An object that was set aside as a whole. */
export interface WholeObject {
  readonly seq: number
  readonly object: string
  readonly eTag: string
  readonly reason: string
}

/** What a source has set aside in an epoch. */
export interface QuarantineTable {
  /** Rows as the record of bad rows has them, of all sources; undefined where there are none. */
  readonly table: string | undefined
  /** The entries in the ledger that are the source's. */
  readonly seqs: readonly number[]
  readonly objects: readonly WholeObject[]
}

/** The same as a flow begins with it; undefined where there is nothing. @param node that of `quarantine` */
export function quarantineRelation(
  node: PlanNode,
  source: string,
  { table, seqs, objects }: QuarantineTable,
): Relation | undefined {
  const items = (values: Readonly<Record<keyof typeof quarantineColumns | '_row' | '_ordinal', string>>) =>
    ['_seq', ...Object.entries(values).map(([name, sql]) => `${sql} AS ${id(name)}`)].join(', ')
  const own = { source: text(source), seq: '_seq', object: 'object', e_tag: 'e_tag' }
  const no = 'CAST(NULL AS VARCHAR)'
  const ofRow = {
    _row: '_row',
    _ordinal: `row_number() OVER (PARTITION BY _seq, _row ORDER BY "column") - 1`,
    ...own,
    row_number: '_row',
    column_name: `nullif("column", '')`,
    expected: 'expected',
    found: 'found',
    reason: no,
  }
  const ofObject = {
    _row: 'CAST(0 AS BIGINT)',
    _ordinal: 'CAST(0 AS BIGINT)',
    ...own,
    row_number: 'CAST(NULL AS BIGINT)',
    column_name: no,
    expected: no,
    found: no,
    reason: 'reason',
  }
  const values = objects.map(
    ({ seq, object, eTag, reason }) => `(CAST(${seq} AS BIGINT), ${[object, eTag, reason].map(text).join(', ')})`,
  )
  const parts = [
    ...(table === undefined || seqs.length === 0
      ? []
      : [`SELECT ${items(ofRow)} FROM ${table} WHERE _seq IN (${seqs.join(', ')})`]),
    ...(values.length === 0
      ? []
      : [`SELECT ${items(ofObject)} FROM (VALUES ${values.join(', ')}) AS o(_seq, object, e_tag, reason)`]),
  ]
  if (parts.length === 0) return undefined
  return { sql: parts.join(' UNION ALL '), columns: node.columns, hidden: asideHidden }
}
