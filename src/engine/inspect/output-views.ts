import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Executor } from '../../core/ports.ts'
import type { LocalFile } from '../../plan/sink.ts'
import { id, text } from '../../plan/sql.ts'
import { components } from '../components.ts'
import { heldAsFiles, isReadable, openPublished, waitingAs } from '../publish/published.ts'
import { type ChannelReader, outputRefs } from '../state/channels.ts'
import { outputColumns, outputsOf } from '../state/read-checkpoint.ts'
import { outputView } from './output-view.ts'
import { labelled, unionSql, type View } from './view.ts'

export interface OutputViews {
  readonly names: readonly string[]
  /** Why there is no `output`, where flows have published and a query asks for it. */
  readonly missing?: string
}

/**
 * `output_<flow>` of each flow that has published and can be read back, and `output`: the union where their columns
 * agree. Output can be large: only what the query names is brought into the current database.
 */
export async function createOutputViews(reader: ChannelReader, executor: Executor, sql: string): Promise<OutputViews> {
  const isForAll = /\b(output|show|information_schema|duckdb_\w+)\b/i.test(sql)
  const flows = Object.entries(outputsOf(reader.manifest))
    .filter(([flow]) => isReadable(components, reader.manifest, flow))
    .map(([flow, address]) => ({ flow, address, name: outputView(flow) }))
  const names: string[] = []
  const views: View[] = []
  for (const { flow, address, name } of flows) {
    if (!isForAll && !sql.toLowerCase().includes(name)) names.push(name)
    else if (await loadOutput(reader, executor, address, flow, name)) {
      names.push(name)
      views.push(labelled(name, { flow: text(flow) }, await executor.describe(`FROM ${id(name)}`), id(name)))
    }
  }
  if (!isForAll) return { names: flows.length === 1 ? [...names, 'output'] : names }
  const [first, ...others] = views
  const columns = (view: View) => JSON.stringify(Object.entries(view.columns).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  if (first !== undefined && others.some(view => columns(view) !== columns(first))) {
    const each = views.map(view => `${view.name} (${Object.keys(view.columns).slice(1).join(', ')})`)
    return { names, missing: `There is no output here, as the columns of the flows differ: ${each.join(', ')}.` }
  }
  const one =
    first === undefined
      ? unionSql({ window_start: 'TIMESTAMP', window_end: 'TIMESTAMP' }, [])
      : `FROM ${id(first.name)}`
  const all = views.map(view => view.sql).join(' UNION ALL BY NAME ')
  await executor.run(`CREATE VIEW output AS ${others.length === 0 ? one : all}`)
  return { names: [...names, 'output'] }
}

/** A flow's committed rows as a table; false where it has none that can be read back. */
async function loadOutput(
  reader: ChannelReader,
  executor: Executor,
  address: string,
  flow: string,
  name: string,
): Promise<boolean> {
  const refs = await outputRefs(reader, executor, flow)
  const held = await heldAsFiles(reader, executor, components.sinks, flow)
  const isEmpty = refs.length + held.length === 0
  const published = isEmpty ? undefined : await openPublished(components, reader.manifest, flow, address)
  if (!published) return false
  const files: LocalFile[] = []
  for (const ref of refs) {
    const file = join(reader.stage, reader.newId())
    await published.load(ref, file, waitingAs(reader.manifest, flow, ref))
    files.push({ file, name: ref.name })
  }
  files.push(...held)
  const rows = published.rows(files, outputColumns(reader.manifest)[flow])
  await executor.run(`CREATE TABLE ${id(name)} AS SELECT * FROM ${rows}`)
  for (const { file } of files) await rm(file)
  return true
}
