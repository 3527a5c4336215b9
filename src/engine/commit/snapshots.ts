import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '../../../checkpoints/types.ts'
import { type Clock, wholeWallMs } from '../../core/clock.ts'
import type { WrittenFile } from '../../core/ports.ts'
import type { WaitingFile } from '../../core/sink-port.ts'
import { type LocalFile, type SinkReader, snapshotFolder } from '../../plan/sink.ts'
import { plainTypes } from '../../plan/relation.ts'
import { id } from '../../plan/sql.ts'
import type { Flow } from '../../plan/stages.ts'
import { changesAsRows, endColumns, latestSql, resultColumns, updateKey } from '../../plan/updates.ts'
import { createWork, dropTables, sinkRows, writeFiles } from '../fold/work.ts'
import type { Output } from '../publish/output.ts'
import { waitingAs } from '../publish/published.ts'
import { outputRefs } from '../state/channels.ts'
import { isSnapshotDue, snapshotRecord, withSnapshotRecord } from '../state/snapshots.ts'
import type { SnapshotRecord } from '../state/engine-state.ts'
import type { StageContext } from './stage-output.ts'

export interface SnapshotContext extends StageContext {
  readonly clock: Clock
}

/**
 * The latest view of a flow as a local file, where the epoch is to have one: what the last snapshot has and the changes
 * since come to, those of the epoch itself included.
 *
 * @param manifest of the epoch, without its rows
 * @param fresh the epoch's changes, in files as the sink asks for them
 * @param isLast nothing may come for long
 */
export async function writeSnapshot(
  context: SnapshotContext,
  manifest: Manifest,
  output: Output,
  fresh: readonly WrittenFile[],
  isLast: boolean,
): Promise<WrittenFile | undefined> {
  const { name, snapshot } = output
  const record = snapshotRecord(manifest, name)
  if (!snapshot || (fresh.length === 0 && !record.isBehind)) return undefined
  const isDue = isLast || isSnapshotDue(record, snapshot.limits, manifest.epoch, wholeWallMs(context.clock))
  const reader = isDue ? await snapshot.reader() : undefined
  return reader && writeLatest(context, manifest, name, reader, record, fresh)
}

/** The manifest with a snapshot that is staged, or with the word that there are changes since the last one. */
export function noteSnapshot(
  context: SnapshotContext,
  manifest: Manifest,
  { name }: Output,
  file: WaitingFile | undefined,
): Manifest {
  const record = snapshotRecord(manifest, name)
  if (!file) return record.isBehind ? manifest : withSnapshotRecord(manifest, name, { ...record, isBehind: true })
  const { epoch, garbage } = manifest
  const next: SnapshotRecord = {
    epoch,
    atMs: wholeWallMs(context.clock),
    file,
    earlier: record.file?.name ?? null,
    isBehind: false,
  }
  const dropped = record.earlier === null ? [] : [{ store: name, name: record.earlier, droppedAt: epoch }]
  return withSnapshotRecord({ ...manifest, garbage: [...garbage, ...dropped] }, name, next)
}

async function writeLatest(
  { claim, commit }: SnapshotContext,
  manifest: Manifest,
  flow: string,
  published: SinkReader,
  { epoch, file: last }: SnapshotRecord,
  fresh: readonly WrittenFile[],
): Promise<WrittenFile> {
  const { terminal } = commit.flows.find(({ name }) => name === flow) as Flow
  if (terminal.is !== 'sink') throw new Error(`unreachable: ${flow} has snapshots and no sink`)
  const { executor, stage, newId } = commit
  const columns = plainTypes(endColumns(terminal))
  const results = plainTypes(terminal.node.columns)
  const reader = { checkpoint: claim.checkpoint, manifest, stage, newId }
  const loaded: string[] = []
  const load = async (file: WaitingFile): Promise<LocalFile> => {
    const local = join(stage, newId())
    loaded.push(local)
    await published.load(file, local, waitingAs(manifest, flow, file))
    return { file: local, name: file.name }
  }
  const work = createWork(commit)
  try {
    const changes: LocalFile[] = []
    for (const ref of await outputRefs(reader, executor, flow, epoch)) changes.push(await load(ref))
    changes.push(...fresh.map(({ file }) => ({ file, name: '' })))
    const relations = [
      ...(last ? [changesAsRows(published.rows([await load(last)], results), epoch)] : []),
      ...(changes.length > 0 ? [`SELECT * FROM ${published.rows(changes, columns)}`] : []),
    ]
    const key = updateKey(terminal.node, 'to')
    const latest = latestSql(`(${relations.join(' UNION ALL BY NAME ')})`, key, resultColumns(Object.keys(columns)))
    const asked = sinkRows(terminal.sink, flow, commit.sinks, terminal.node.columns)
    const by = key.length === 0 ? 'ALL' : key.map(name => `${id(name)} ASC NULLS LAST`).join(', ')
    const [written] = await writeFiles(work, flow, asked, latest, by)
    return { ...(written as WrittenFile), folder: snapshotFolder }
  } finally {
    for (const file of loaded) await rm(file, { force: true })
    await dropTables(executor, work.tables)
  }
}
