import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileRef, Manifest } from '../../../checkpoints/types.ts'
import { showBytes } from '../../core/quantity.ts'
import type { Executor } from '../../core/ports.ts'
import { parseColumnType } from '../../core/types.ts'
import { type ColumnTypes, microsecondsOf } from '../../plan/relation.ts'
import { correctionsFolder } from '../../plan/sink.ts'
import { id, text } from '../../plan/sql.ts'
import { components } from '../components.ts'
import { isReadable, openPublished, waitingAs } from '../publish/published.ts'
import type { ClosedWindow, Reach } from '../report/why.ts'
import { type ChannelReader, eachPart } from '../state/channels.ts'
import { heldFrom, heldIn } from '../state/held.ts'
import { outputColumns, outputsOf } from '../state/read-checkpoint.ts'
import type { AskedGroup, Borders } from './asked-window.ts'

/** Files of one epoch that are read to count results. */
const readBytesMax = 256 * 1024 ** 2

/** A window of a flow, and the epoch that closed it. */
export interface ClosedAt extends Borders {
  readonly flow: string
  readonly epoch: number
  readonly group: AskedGroup
}

/** How far the results of an epoch have come, and how many there are of a window. */
export async function reachOf(
  reader: ChannelReader,
  executor: Executor,
  closed: ClosedAt,
): Promise<Pick<ClosedWindow, 'reach' | 'results' | 'unknown'>> {
  const { manifest } = reader
  const { flow, epoch } = closed
  const waiting = waitingReach(manifest, flow, epoch)
  if (waiting) return { reach: waiting, results: null }
  const to = outputsOf(manifest)[flow]
  const shown = to ?? takesRows
  const published = (file: string | null): Reach => ({ is: 'published', to: shown, file })
  if (to === undefined || !isReadable(components, manifest, flow)) return { reach: published(null), results: null }
  const files = await filesSince(reader, executor, flow, epoch)
  const condition = conditionOf(outputColumns(manifest)[flow] ?? {}, closed)
  if (files.length === 0) return { reach: published(null), results: 0 }
  const file = files.length === 1 ? (files[0]?.name ?? null) : null
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0)
  if (condition === undefined || bytes > readBytesMax)
    return {
      reach: published(file),
      results: null,
      unknown:
        condition === undefined
          ? `Results of epoch ${epoch} are in ${file ?? shown}; their columns do not tell of which window they are.`
          : `Results of epoch ${epoch} are in ${file ?? shown}, ${showBytes(bytes)}, which is not read to answer this.`,
    }
  return { reach: published(file), results: await count(reader, executor, { flow, to, files, condition }) }
}

const takesRows = 'the code that takes its rows'

/** Whether the results of an epoch wait, for their sink or for others; undefined where they do not. */
function waitingReach(manifest: Manifest, flow: string, epoch: number): Reach | undefined {
  const to = outputsOf(manifest)[flow] ?? takesRows
  const waiting = manifest.unpublished.filter(({ output }) => output === flow)
  if (waiting.some(one => (one.from ?? one.epoch) <= epoch && epoch <= one.epoch))
    return { is: 'waiting', to, epochs: waiting.length }
  const from = heldFrom(manifest, flow)
  if (from === undefined || from > epoch) return undefined
  return { is: 'held', to, rows: heldIn(manifest).find(held => held.flow === flow)?.rows ?? 0 }
}

/** How far the rows of an epoch have come, whatever they are. */
export async function reachOfEpoch(
  reader: ChannelReader,
  executor: Executor,
  flow: string,
  epoch: number,
): Promise<Reach> {
  const { manifest } = reader
  const waiting = waitingReach(manifest, flow, epoch)
  if (waiting) return waiting
  const to = outputsOf(manifest)[flow]
  if (to === undefined || !isReadable(components, manifest, flow))
    return { is: 'published', to: to ?? takesRows, file: null }
  const files = await filesSince(reader, executor, flow, epoch)
  return { is: 'published', to, file: files.length === 1 ? (files[0]?.name ?? null) : null }
}

/** The files with the results of an epoch: of the first one at or behind it that has any, as rows may be held. */
async function filesSince(
  reader: ChannelReader,
  executor: Executor,
  flow: string,
  epoch: number,
): Promise<readonly FileRef[]> {
  const found: (FileRef & { readonly epoch: number })[] = []
  await eachPart(reader, executor, 'outputs', async rows => {
    const isOwn = `output = ${text(flow)} AND epoch >= ${epoch} AND NOT starts_with(key, ${text(correctionsFolder)})`
    const files = `SELECT * FROM ${rows} WHERE ${isOwn}`
    for (const row of await executor.rows(`FROM (${files}) QUALIFY epoch = min(epoch) OVER () ORDER BY key`))
      found.push({
        epoch: Number(row.epoch),
        name: String(row.key),
        bytes: Number(row.bytes),
        rows: Number(row.rows),
        sha256: String(row.sha256),
      })
  })
  const first = Math.min(...found.map(one => one.epoch))
  return found.filter(one => one.epoch === first)
}

/** SQL over results: whether they are of the window and the group; undefined where their columns do not tell. */
function conditionOf(columns: ColumnTypes, { startUs, endUs, group }: ClosedAt): string | undefined {
  const borders = { window_start: startUs, window_end: endUs }
  const all = [...Object.keys(borders), ...Object.keys(group)]
  if (!all.every(name => columns[name] !== undefined)) return undefined
  const typeOf = (name: string) => parseColumnType(columns[name] as string, name)
  const conditions = [
    ...Object.entries(borders).map(([name, us]) => `${microsecondsOf(id(name), typeOf(name).name)} = ${us}`),
    ...Object.entries(group).map(([name, value]) =>
      value === null ? `${id(name)} IS NULL` : `${id(name)} = TRY_CAST(${text(value)} AS ${typeOf(name).sql})`,
    ),
  ]
  return conditions.join(' AND ')
}

async function count(
  reader: ChannelReader,
  executor: Executor,
  { flow, to, files, condition }: { flow: string; to: string; files: readonly FileRef[]; condition: string },
): Promise<number | null> {
  const published = await openPublished(components, reader.manifest, flow, to)
  if (!published) return null
  const local: { file: string; name: string }[] = []
  for (const ref of files) {
    const file = join(reader.stage, reader.newId())
    await published.load(ref, file, waitingAs(reader.manifest, flow, ref))
    local.push({ file, name: ref.name })
  }
  const rows = published.rows(local, outputColumns(reader.manifest)[flow])
  const [row] = await executor.rows(`SELECT count(*) AS n FROM ${rows} WHERE ${condition}`)
  for (const { file } of local) await rm(file)
  return Number(row?.n)
}

/** Rows that were late for a window of a stage. @param group SQL over them; absent: all */
export async function lateFor(
  reader: ChannelReader,
  executor: Executor,
  stage: string,
  { endUs }: Borders,
  group: string | undefined,
): Promise<number> {
  let late = 0
  for (const channel of lateChannels(reader.manifest, stage))
    await eachPart(reader, executor, channel, async rows => {
      const of = `${rows} WHERE _window_end = ${endUs}${group === undefined ? '' : ` AND ${group}`}`
      const [row] = await executor.rows(`SELECT count(*) AS n FROM ${of}`)
      late += Number(row?.n)
    })
  return late
}

function lateChannels({ channels }: Manifest, stage: string): readonly string[] {
  return Object.keys(channels).filter(name => name === `late-${stage}` || name.startsWith(`late-${stage}-`))
}
