import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileRef } from '../../../checkpoints/types.ts'
import type { Executor } from '../../core/ports.ts'
import type { ColumnTypes } from '../../plan/relation.ts'
import type { LocalFile, SinkReader } from '../../plan/sink.ts'
import { id, text } from '../../plan/sql.ts'
import { changesAsRows, latestSql, resultColumns } from '../../plan/updates.ts'
import { components } from '../components.ts'
import { heldAsFiles, isReadable, openPublished, waitingAs } from '../publish/published.ts'
import { type ChannelReader, correctionRefs, outputRefs } from '../state/channels.ts'
import { changeKeys, correctionColumns, correctionKeys, outputColumns, outputsOf } from '../state/read-checkpoint.ts'
import { correctionsView, latestView, outputView } from './output-view.ts'
import { createTableView, tableFlows, type UnreadTable } from './table-views.ts'
import { labelled, unionSql, type View } from './view.ts'

/** A query that may name every view of output. */
const isForEach = /\b(output|show|information_schema|duckdb_\w+)\b/i

export interface OutputViews {
  readonly names: readonly string[]
  /** Why there is no `output`, or no view of a table, where a query asks for it. */
  readonly missing?: string
}

/** A flow whose output can be read back. */
interface ReadableFlow {
  readonly flow: string
  readonly address: string
  readonly name: string
  /** Of a flow whose results change: its view of the latest ones, and what tells these apart. */
  readonly latest: { readonly name: string; readonly key: readonly string[] } | undefined
  /** Of a flow whose results were given and may change by late rows: the view of these changes. */
  readonly corrections: string | undefined
}

/**
 * `output_<flow>` of each flow that has published and can be read back, and `output`: the union where their columns
 * agree. `latest_<flow>` of each whose results change, and `latest` of an only one; `corrections_<flow>` of each that
 * gave results which late rows may change. Output can be large: only what the query names is brought into the current
 * database.
 */
export async function createOutputViews(reader: ChannelReader, executor: Executor, sql: string): Promise<OutputViews> {
  const isForAll = isForEach.test(sql)
  const flows = readableFlows(reader)
  const tables = tableFlows(reader)
  const changing = [
    ...flows.flatMap(({ latest }) => (latest ? [latest.name] : [])),
    ...tables.flatMap(({ isLatest, name }) => (isLatest ? [name] : [])),
  ]
  const asksForLatest = /\blatest\b/i.test(sql) && changing.length === 1
  const isNamed = ({ latest, ...flow }: ReadableFlow) =>
    viewsOf({ latest, ...flow }).some(view => sql.toLowerCase().includes(view)) ||
    (asksForLatest && latest !== undefined)
  const names: string[] = []
  const views: View[] = []
  for (const found of flows) {
    const { flow, name, latest } = found
    const isWanted = isForAll || isNamed(found)
    const isThere = !isWanted || (await loadOutput(reader, executor, found))
    if (isThere) names.push(...viewsOf(found))
    if (!isWanted || !isThere) continue
    await loadCorrections(reader, executor, found)
    views.push(labelled(name, { flow: text(flow) }, await executor.describe(`FROM ${id(name)}`), id(name)))
    if (latest) await createLatest(reader, executor, found)
  }
  const unread = await createTables(reader, executor, sql, { asksForLatest, names, views })
  const [only, ...more] = changing
  if (only !== undefined && more.length === 0 && names.includes(only)) {
    if (isForAll || asksForLatest) await executor.run(`CREATE VIEW latest AS FROM ${id(only)}`)
    names.push('latest')
  }
  const why = unread.map(each => each.why).join(' ')
  if (unread.length > 0) return { names, missing: why }
  if (isForAll) return unionOf(executor, names, views)
  const outputs = flows.length + tables.filter(({ isLatest }) => !isLatest).length
  return { names: outputs === 1 ? [...names, 'output'] : names }
}

/** The views of flows that go to tables, and those that could not be read. */
async function createTables(
  reader: ChannelReader,
  executor: Executor,
  sql: string,
  made: { readonly asksForLatest: boolean; readonly names: string[]; readonly views: View[] },
): Promise<readonly UnreadTable[]> {
  const asksForAll = isForEach.test(sql)
  const unread: UnreadTable[] = []
  for (const found of tableFlows(reader)) {
    const { name, flow, isLatest } = found
    const asksForRows = sql.toLowerCase().includes(name) || (isLatest ? made.asksForLatest : /\boutput\b/i.test(sql))
    if (asksForRows || asksForAll) {
      const view = await createTableView(reader, executor, found, asksForRows)
      if (view !== 'made') {
        unread.push(view)
        continue
      }
      if (!isLatest)
        made.views.push(labelled(name, { flow: text(flow) }, await executor.describe(`FROM ${id(name)}`), id(name)))
    }
    made.names.push(name)
  }
  return unread
}

function viewsOf({ name, latest, corrections }: ReadableFlow): readonly string[] {
  return [name, ...(latest ? [latest.name] : []), ...(corrections === undefined ? [] : [corrections])]
}

function readableFlows({ manifest }: ChannelReader): readonly ReadableFlow[] {
  const corrected = correctionKeys(manifest)
  const keys = { ...changeKeys(manifest), ...corrected }
  return Object.entries(outputsOf(manifest))
    .filter(([flow]) => isReadable(components, manifest, flow))
    .map(([flow, address]) => ({
      flow,
      address,
      name: outputView(flow),
      latest: keys[flow] && { name: latestView(flow), key: keys[flow] },
      corrections: corrected[flow] && correctionsView(flow),
    }))
}

async function createLatest(
  { manifest }: ChannelReader,
  executor: Executor,
  { flow, name, latest, corrections }: ReadableFlow,
): Promise<void> {
  if (!latest) return
  const columns = resultColumns(Object.keys(outputColumns(manifest)[flow] ?? {}))
  const all =
    corrections === undefined ? id(name) : `(${changesAsRows(id(name), 0)} UNION ALL BY NAME FROM ${id(corrections)})`
  await executor.run(`CREATE VIEW ${id(latest.name)} AS ${latestSql(all, latest.key, columns)}`)
}

/** What late rows changed of a flow's results since they were given, as a table. */
async function loadCorrections(
  reader: ChannelReader,
  executor: Executor,
  { address, flow, corrections }: ReadableFlow,
): Promise<void> {
  if (corrections === undefined) return
  const columns = correctionColumns(reader.manifest, flow)
  await executor.run(`CREATE TABLE ${id(corrections)} (${columnsSql(columns)})`)
  const refs = await correctionRefs(reader, executor, flow)
  const published = refs.length === 0 ? undefined : await openPublished(components, reader.manifest, flow, address)
  if (!published) return
  const files = await loadFiles(reader, published, flow, refs)
  await executor.run(`INSERT INTO ${id(corrections)} BY NAME SELECT * FROM ${published.rows(files, columns)}`)
  for (const { file } of files) await rm(file)
}

async function loadFiles(
  reader: ChannelReader,
  published: SinkReader,
  flow: string,
  refs: readonly FileRef[],
): Promise<readonly LocalFile[]> {
  const files: LocalFile[] = []
  for (const ref of refs) {
    const file = join(reader.stage, reader.newId())
    await published.load(ref, file, waitingAs(reader.manifest, flow, ref))
    files.push({ file, name: ref.name })
  }
  return files
}

/** `output`, where the columns of all flows agree. */
async function unionOf(executor: Executor, names: readonly string[], views: readonly View[]): Promise<OutputViews> {
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
  { address, flow, name, latest }: ReadableFlow,
): Promise<boolean> {
  const columns = outputColumns(reader.manifest)[flow]
  const refs = await outputRefs(reader, executor, flow)
  const held = await heldAsFiles(reader, executor, components.sinks, flow)
  const isEmpty = refs.length + held.length === 0
  const published = isEmpty ? undefined : await openPublished(components, reader.manifest, flow, address)
  if (!published) {
    // Nothing has changed yet: a view of that can be asked for all the same.
    if (latest && columns) await executor.run(`CREATE TABLE ${id(name)} (${columnsSql(columns)})`)
    return latest !== undefined && columns !== undefined
  }
  const files = [...(await loadFiles(reader, published, flow, refs)), ...held]
  const rows = published.rows(files, columns)
  await executor.run(`CREATE TABLE ${id(name)} AS SELECT * FROM ${rows}`)
  for (const { file } of files) await rm(file)
  return true
}

const columnsSql = (columns: ColumnTypes) =>
  Object.entries(columns)
    .map(([name, type]) => `${id(name)} ${type}`)
    .join(', ')
