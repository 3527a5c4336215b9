import { configError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import { parseColumnType } from '../../core/types.ts'
import { chain, groupsContext, inputOf } from '../../plan/node.ts'
import type { Relation } from '../../plan/relation.ts'
import { rowHidden } from '../../plan/relation.ts'
import { id, text } from '../../plan/sql.ts'
import { besideRows, type Flow, type Stage, stagesOf } from '../../plan/stages.ts'
import type { LateRows } from '../../plan/late-rows.ts'
import type { BoundCheckpoint } from './bound-checkpoint.ts'

/** Which window of which group is meant. */
export interface AskedWindow {
  readonly timeUs: bigint
  readonly group: AskedGroup
}

/** Value by column, as text, or null; empty: all groups. */
export type AskedGroup = Readonly<Record<string, string | null>>

/** The last step of a flow that puts rows into windows. */
export interface WindowedStage {
  readonly stage: Stage
  /** By which its rows are grouped, with their SQL types. */
  readonly keys: ReadonlyMap<string, string>
  /** Windows are known only by their rows, as sessions. */
  readonly isOfRows: boolean
}

/** A window by its borders, in microseconds. */
export interface Borders {
  readonly startUs: bigint
  readonly endUs: bigint
}

/** The steps of a flow that have windows, the first one first. */
export function windowedStages(
  { flows, ids }: Pick<BoundCheckpoint, 'flows' | 'ids'>,
  flow: Flow,
): readonly WindowedStage[] {
  const own = ids[flows.indexOf(flow)]
  const nodes = new Map(chain(flow.terminal.node).flatMap(node => (own?.has(node) ? [[own.get(node), node]] : [])))
  return stagesOf(flow).flatMap((stage): readonly WindowedStage[] => {
    const node = nodes.get(stage.id)
    if (node?.step.is !== 'stateful' || stage.step.isEndless) return []
    if (node.step.takes === 'two windows') return [{ stage, keys: new Map(), isOfRows: false }]
    if (node.step.takes !== 'groups') return []
    const { windows, keys, input } = groupsContext(inputOf(node), node.op)
    const types = new Map(keys.map(key => [key, parseColumnType(input[key] as string, key).sql]))
    return [{ stage, keys: types, isOfRows: windows.together !== undefined }]
  })
}

/** Later than any time of a row, and far enough from the end of 64 bits for windows. */
const afterAllUs = 2n ** 61n

/** The windows that hold this time, as the step's late rows tell them: of a step whose windows need no rows. */
export async function windowsAt(
  executor: Executor,
  { step }: Pick<Stage, 'step'>,
  timeUs: bigint,
): Promise<readonly Borders[]> {
  const row: Relation = {
    sql: `SELECT 1::BIGINT AS _seq, 0::BIGINT AS _row, ${afterAllUs} AS _watermark, ${timeUs}::BIGINT AS _time`,
    columns: {},
    hidden: rowHidden,
  }
  const placed = besideRows(step, row, step.beside && `(${step.beside.table(row)})`)
  const { rows }: LateRows = step.late
  return bordersOf(executor, `SELECT DISTINCT _window_start, _window_end FROM (${rows(placed)})`)
}

/** @param windows SQL with `_window_start` and `_window_end` */
export async function bordersOf(executor: Executor, windows: string): Promise<readonly Borders[]> {
  const found = await executor.rows(`FROM (${windows}) ORDER BY _window_end, _window_start`)
  return found.map(row => ({ startUs: row._window_start as bigint, endUs: row._window_end as bigint }))
}

/**
 * SQL over rows that have these columns: whether they are of the group; undefined where all groups are meant.
 *
 * @throws MillraceError `user` for a column that is no key of the step, and for a value that its type does not have
 */
export async function groupCondition(
  executor: Executor,
  { stage, keys }: Pick<WindowedStage, 'stage' | 'keys'>,
  group: AskedWindow['group'],
): Promise<string | undefined> {
  const conditions: string[] = []
  for (const [name, value] of Object.entries(group)) {
    const type = keys.get(name)
    if (type === undefined)
      throw configError(
        'group',
        name,
        keys.size === 0 ? `nothing: ${stage.op} has no groups` : `a key of groupBy: ${[...keys.keys()].join(', ')}`,
      )
    if (value === null) {
      conditions.push(`${id(name)} IS NULL`)
      continue
    }
    const [row] = await executor.rows(`SELECT TRY_CAST(${text(value)} AS ${type}) IS NOT NULL AS fits`)
    if (row?.fits !== true) throw configError(`group: ${name}`, value, `a value of its type, ${type}`)
    conditions.push(`${id(name)} = CAST(${text(value)} AS ${type})`)
  }
  return conditions.length === 0 ? undefined : conditions.join(' AND ')
}
