import type { Executor } from '../../core/ports.ts'
import type { MeasuredState } from '../report/running.ts'

/** Of each state: bars of a picture, of which more could not be told apart. */
const windowsMax = 200

/** @param open SQL, a row for each window */
export async function measuredWindows(
  executor: Pick<Executor, 'rows'>,
  open: string,
): Promise<Required<Pick<MeasuredState, 'openWindows' | 'windows'>>> {
  const rows = await executor.rows(
    'SELECT _window_start, _window_end, groups, count(*) OVER () AS windows ' +
      `FROM (${open}) ORDER BY _window_end, _window_start LIMIT ${windowsMax}`,
  )
  return {
    openWindows: Number(rows[0]?.windows ?? 0),
    windows: rows.map(row => ({
      startUs: row._window_start as bigint,
      endUs: row._window_end as bigint,
      groups: Number(row.groups),
    })),
  }
}
