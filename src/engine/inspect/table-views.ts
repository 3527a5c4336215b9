import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import type { SinkPort } from '../../core/sink-port.ts'
import { plainTypes } from '../../plan/relation.ts'
import { id, text } from '../../plan/sql.ts'
import { resultColumns } from '../../plan/updates.ts'
import { components } from '../components.ts'
import { openStoredSink } from '../publish/stored-sink.ts'
import type { ChannelReader } from '../state/channels.ts'
import { changeKeys, outputColumns, outputsOf } from '../state/read-checkpoint.ts'
import { isTable } from '../publish/published.ts'
import { latestView, outputView } from './output-view.ts'

/** A flow that goes to a table. */
export interface TableFlow {
  readonly flow: string
  readonly address: string
  /** Of its view. */
  readonly name: string
  /** The table has the results as they are now. */
  readonly isLatest: boolean
}

/** A table that could not be read, and why: a line for people. */
export interface UnreadTable {
  readonly is: 'unread'
  readonly why: string
}

/** The flows whose rows go to tables, by their order. */
export function tableFlows({ manifest }: ChannelReader): readonly TableFlow[] {
  const changing = changeKeys(manifest)
  return Object.entries(outputsOf(manifest))
    .filter(([flow]) => isTable(components, manifest, flow))
    .map(([flow, address]) => {
      const isLatest = changing[flow] !== undefined
      return { flow, address, name: isLatest ? latestView(flow) : outputView(flow), isLatest }
    })
}

/** The flow's columns as a table of the current database, with the rows of its table or without them. */
export async function createTableView(
  reader: ChannelReader,
  executor: Executor,
  { flow, address, name }: TableFlow,
  withRows: boolean,
): Promise<'made' | UnreadTable> {
  const declared = outputColumns(reader.manifest)[flow] ?? {}
  const types = plainTypes(
    Object.fromEntries(resultColumns(Object.keys(declared)).map(column => [column, declared[column] as string])),
  )
  const columns = Object.entries(types)
  if (!withRows) {
    await executor.run(`CREATE TABLE ${id(name)} (${columns.map(([one, type]) => `${id(one)} ${type}`).join(', ')})`)
    return 'made'
  }
  const items = columns.map(([one, type]) => `CAST(${id(one)} AS ${type}) AS ${id(one)}`)
  return whileOpen<'made'>(reader, executor, flow, address, `${name} is not here`, async ({ table }) => {
    if (!table) throw new Error(`${address} is of a kind that cannot be read back.`)
    await executor.run(`CREATE TABLE ${id(name)} AS SELECT ${items.join(', ')} FROM ${await table.rows()}`)
    return 'made'
  })
}

/** Of tables, which version each epoch came with, as `stored.versions`. Gives what could not be asked. */
export async function createVersions(
  reader: ChannelReader,
  executor: Executor,
  withRows: boolean,
): Promise<readonly UnreadTable[]> {
  await executor.run('CREATE TABLE stored.versions (epoch BIGINT, output VARCHAR, version VARCHAR)')
  await executor.run('CREATE TABLE stored.addresses (output VARCHAR, address VARCHAR)')
  for (const [flow, address] of Object.entries(outputsOf(reader.manifest)))
    await executor.run(`INSERT INTO stored.addresses VALUES (${text(flow)}, ${text(address)})`)
  const unread: UnreadTable[] = []
  for (const { flow, address } of withRows ? tableFlows(reader) : []) {
    const what = `versions of ${flow} are not here`
    const versions = await whileOpen(reader, executor, flow, address, what, async ({ table }) => table?.versions())
    if (versions && 'is' in versions) unread.push(versions)
    const rows = versions && !('is' in versions) ? [...versions] : []
    for (let at = 0; at < rows.length; at += insertedAtOnce)
      await executor.run(
        `INSERT INTO stored.versions VALUES ${rows
          .slice(at, at + insertedAtOnce)
          .map(([epoch, version]) => `(${epoch}, ${text(flow)}, ${text(version)})`)
          .join(', ')}`,
      )
  }
  return unread
}

const insertedAtOnce = 1_000

/** A file or a table that was published; a table of changes has no files that are one epoch's own. */
export const outputsSql =
  'SELECT epoch, output AS flow, key, rows, bytes, sha256, output, address, version FROM stored.outputs ' +
  'FULL JOIN stored.versions USING (epoch, output) LEFT JOIN stored.addresses USING (output) ORDER BY epoch, output'

/** Opens the sink of a flow to be read, in a folder that is gone afterwards. */
async function whileOpen<T>(
  { manifest, stage, newId }: ChannelReader,
  executor: Executor,
  flow: string,
  address: string,
  what: string,
  work: (sink: SinkPort) => Promise<T>,
): Promise<T | UnreadTable> {
  const folder = join(stage, newId())
  await mkdir(folder)
  try {
    const sink = await openStoredSink(components, manifest, flow, address, {
      withStore: store => store,
      duckdb: work => work({ folder, executor }),
    })
    return await work(sink)
  } catch (error) {
    const [line = ''] = errorMessage(error).split('\n')
    return { is: 'unread', why: `${what}: ${line.replace(/[.!]?$/, '.')}` }
  } finally {
    await rm(folder, { recursive: true })
  }
}
