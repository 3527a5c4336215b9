import { showBytes, showCounted } from '../../core/quantity.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { iso } from './iso.ts'
import type { MeasuredState } from './running.ts'

/** As of the checkpoint's last commit. */
export interface GraphState {
  /** Partial rows: one for each group of each window or pane; of `dedupe` and its like one for each key. */
  readonly rows: number
  /** Of its segments, rows of closed windows among them. */
  readonly bytes: number
  /** null of a step without windows. */
  readonly openWindows: number | null
  /** What closes windows: ISO 8601, UTC; null before the first mark. */
  readonly watermark: string | null
}

export interface GraphScan {
  /** Columns that are read from objects. */
  readonly columns: number
  /** Of so many that they have had, as far as a checkpoint tells; else null. */
  readonly of: number | null
  /** `columns`: their ranges alone are fetched. `objects`: objects are read as a whole. */
  readonly fetches: 'columns' | 'objects'
}

/** What a checkpoint holds of a plan. */
export interface HeldFigures {
  readonly epoch: number
  readonly states: readonly MeasuredState[]
  /** By source, ISO 8601, UTC. */
  readonly watermarks: Readonly<Record<string, string | null>>
  /** By source how many columns objects had that are not declared; null where none has told. */
  readonly undeclared: Readonly<Record<string, number | null>>
}

/** Side tables of a step have its id before their own name. */
export function holdsOf(id: string, { states }: HeldFigures): GraphState {
  const own = states.find(({ name }) => name === id)
  const all = states.filter(({ name }) => name === id || name.startsWith(`${id}-`))
  const watermarkUs = own?.watermarkUs ?? null
  return {
    rows: own?.rows ?? 0,
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    openWindows: own?.openWindows ?? null,
    watermark: watermarkUs === null ? null : iso(watermarkUs),
  }
}

export function holdsTold({ rows, bytes, openWindows, watermark }: GraphState): string {
  const windows = openWindows === null ? '' : ` of ${showCounted(openWindows, 'open window')}`
  const mark = watermark === null ? 'no watermark yet' : `watermark ${watermark}`
  return `holds ${showCounted(rows, 'row')}${windows}, ${showBytes(bytes)}; ${mark}`
}

export function scanOf(
  settings: SourceSettings,
  byColumns: ReadonlySet<string>,
  held: HeldFigures | undefined,
): GraphScan {
  const { name, columns, facts = {} } = settings
  const read = Object.keys(columns).filter(column => facts[column] === undefined).length
  const undeclared = held?.undeclared[name] ?? null
  return {
    columns: read,
    of: undeclared === null ? null : read + undeclared,
    fetches: byColumns.has(name) ? 'columns' : 'objects',
  }
}

/** A filter of a later step is no part of it: each row is checked before a step sees it. */
export function scanTold({ fetches }: GraphScan): string {
  const fetched = fetches === 'columns' ? 'only these columns are fetched' : 'objects are fetched as a whole'
  return `${fetched}, and no filter goes into the scan: every row is checked`
}
