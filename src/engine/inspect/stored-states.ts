import type { Executor } from '../../core/ports.ts'
import type { MeasuredState } from '../report/running.ts'
import { type ChannelReader, loadTable } from '../state/channels.ts'
import { settingsOf, watermarkOfState } from '../state/engine-state.ts'
import { measuredWindows } from '../state/open-windows.ts'

/** The state tables of a checkpoint, by their rows that are alive, with the windows that its last commit left open. */
export async function storedStates(reader: ChannelReader, executor: Executor): Promise<readonly MeasuredState[]> {
  const { manifest } = reader
  const { closesAt = {}, living = {}, openWindows = {} } = settingsOf(manifest)
  const count = async (sql: string) => Number((await executor.rows(`SELECT count(*) AS n FROM (${sql})`))[0]?.n)
  const states: MeasuredState[] = []
  for (const name of [...Object.keys(closesAt), ...Object.keys(living)]) {
    const channel = `segment-${name}`
    const hasRows = await loadTable(reader, executor, channel, 'partials')
    const watermarkUs = watermarkOfState(manifest, name)
    const alive = watermarkUs === null ? '' : ` WHERE ${closesAt[name]} > ${watermarkUs}`
    const open = openWindows[name]
    states.push({
      name,
      rows: hasRows ? await count(living[name] ?? `SELECT 1 FROM partials${alive}`) : 0,
      bytes: (manifest.channels[channel] ?? []).reduce((total, { bytes }) => total + bytes, 0),
      watermarkUs,
      ...(open === undefined ? {} : hasRows ? await measuredWindows(executor, open) : { openWindows: 0, windows: [] }),
    })
    if (hasRows) await executor.run('DROP TABLE partials')
  }
  return states
}
