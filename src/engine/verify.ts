import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Manifest } from '../../checkpoints/types.ts'
import { configError } from '../core/errors.ts'
import { readOptions } from '../core/options.ts'
import type { Executor, SqlRow } from '../core/ports.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { type LocalFile, type SinkKind, type SinkReader, sinkAt } from '../plan/sink.ts'
import { latestSql, resultColumns } from '../plan/updates.ts'
import { backfillWith } from './backfill.ts'
import { checkPipeline } from './bind/fit-plan.ts'
import { components, type Components } from './components.ts'
import { openScratch } from './duckdb/scratch.ts'
import { openSession, type Session } from './duckdb/session.ts'
import { type VerifyOptions, verifyOptions } from './options.ts'
import { placeOf } from './publish/outputs.ts'
import { heldAsFiles, openPublished, waitingAs } from './publish/published.ts'
import { type ChangedObject, missingObjects } from './replay/missing-objects.ts'
import { type ChannelReader, correctionRefs, eachPart, outputRefs } from './state/channels.ts'
import { changeKeys, correctionColumns, outputColumns, outputsOf, readCheckpoint } from './state/read-checkpoint.ts'

/** A row that one side has and the other has not. */
export interface Difference {
  /** 'flow-1', or 'late rows of flow-1'. */
  readonly of: string
  /** Which side has it. */
  readonly only: 'checkpoint' | 'replay'
  readonly row: SqlRow
}

export interface Verification {
  readonly checkpoint: string
  readonly epochs: number
  readonly replayEpochs: number
  /** Rows of output that were compared. */
  readonly rows: number
  readonly lateRows: number
  /** The first of each flow, by window; empty when nothing differs. */
  readonly differences: readonly Difference[]
  /** Flows whose rows went where nothing can be read back. Their late rows were compared. */
  readonly notCompared: readonly string[]
  /** Objects that were read when the ledger was written and are not there any more: then nothing was replayed. */
  readonly gone: readonly string[]
  /** Of these, those that `after: 'delete'` has deleted. */
  readonly deleted: readonly string[]
  /** Objects of which another version lies there now: then nothing was replayed either. */
  readonly changed: readonly ChangedObject[]
}

/**
 * Replays a checkpoint's ledger in a scratch folder, cut otherwise, and compares output and late rows as multisets
 * (law 1: the cut changes nothing). The checkpoint and its output are only read, and their bytes are hashed.
 */
export async function verify(
  pipeline: Pipeline,
  options: VerifyOptions = {},
  parts: Components = components,
): Promise<Verification> {
  readOptions('verify', verifyOptions, options)
  const address = options.checkpoint ?? pipeline.checkpoint
  const scratch = await openScratch(options.spill)
  let session: Session | undefined
  try {
    session = await openSession(options)
    const executor = await session.executor(options.signal ?? new AbortController().signal)
    const { checkpoint, head } = await readCheckpoint(parts, address, 'checkpoint', session.stage)
    const { manifest } = head
    const reader = { checkpoint, manifest, stage: session.stage, newId: randomUUID }
    const asked = await checkPipeline(manifest, pipeline, address, executor)
    const { gone, deleted, changed } = await missingObjects(reader, executor, parts, asked, options.input)
    const nothing = {
      checkpoint: address,
      epochs: manifest.epoch,
      replayEpochs: 0,
      rows: 0,
      lateRows: 0,
      differences: [],
      notCompared: [],
    }
    if (gone.length > 0 || changed.length > 0) return { ...nothing, gone, deleted, changed }

    const replay = await replayElsewhere(parts, pipeline, options, manifest, address, scratch.path)
    const copy = await readCheckpoint(parts, replay.copyOf(address), 'checkpoint', session.stage)
    const copied: ChannelReader = { ...reader, checkpoint: copy.checkpoint, manifest: copy.head.manifest }
    const sides = { parts, executor, left: reader, right: copied }
    const outputs = await compareOutputs(sides, replay.originalOf, options)
    const late = await compareLate(sides)
    return {
      ...nothing,
      replayEpochs: replay.epochs,
      rows: outputs.rows,
      lateRows: late.rows,
      differences: [...outputs.differences, ...late.differences],
      notCompared: outputs.notCompared,
      gone,
      deleted,
      changed,
    }
  } finally {
    await session?.close()
    await scratch.close()
  }
}

/** A replay into a folder: every address that it writes to lies there, as files. */
interface ElsewhereReplay {
  readonly epochs: number
  /** Where the replay wrote what was meant for this address. */
  copyOf(original: string): string
  originalOf(copy: string | undefined): string | undefined
}

async function replayElsewhere(
  parts: Components,
  pipeline: Pipeline,
  options: VerifyOptions,
  manifest: Manifest,
  address: string,
  folder: string,
): Promise<ElsewhereReplay> {
  const moved = new Map<string, string>()
  const elsewhere: Components = {
    ...parts,
    sinks: asFiles(parts.sinks),
    openWritable(original, field) {
      const there = moved.get(original) ?? pathToFileURL(join(folder, String(moved.size))).href
      moved.set(original, there)
      return parts.openWritable(there, field)
    },
  }
  const { objectsPerEpoch = anotherCut(manifest), output: _, checkpoint: __, ...run } = options
  const { totals } = await backfillWith(elsewhere, pipeline, {
    ...run,
    checkpoint: address,
    ledger: address,
    objectsPerEpoch,
  })
  return {
    epochs: totals.epochs,
    copyOf: original => moved.get(original) as string,
    originalOf: copy => [...moved].find(([, there]) => there === copy)?.[0],
  }
}

/** A checkpoint and its replay. */
interface Sides {
  readonly parts: Components
  readonly executor: Executor
  readonly left: ChannelReader
  readonly right: ChannelReader
}

interface Compared {
  readonly rows: number
  readonly differences: readonly Difference[]
}

async function compareOutputs(
  { parts, executor, left, right }: Sides,
  originalOf: ElsewhereReplay['originalOf'],
  { output }: VerifyOptions,
): Promise<Compared & Pick<Verification, 'notCompared'>> {
  const differences: Difference[] = []
  const notCompared: string[] = []
  let rows = 0
  for (const flow of outputNames(left.manifest, right.manifest)) {
    const copied = outputsOf(right.manifest)[flow]
    const address = placeOf(output, flow) ?? (await addressOfOutput(parts, left.manifest, flow, originalOf(copied)))
    const published = await readerOf(parts, left.manifest, address, flow)
    if (!published) {
      notCompared.push(flow)
      continue
    }
    const own = await outputRows(left, executor, parts.sinks, published, flow)
    const repeated = await readerOf(parts, right.manifest, copied, flow)
    const again = repeated && (await outputRows(right, executor, parts.sinks, repeated, flow))
    rows += await compare(executor, flow, own, again, differences)
    const changed = await correctionRows(left, executor, published, flow)
    const changedAgain = repeated && (await correctionRows(right, executor, repeated, flow))
    rows += await compare(executor, `corrections of ${flow}`, changed, changedAgain, differences)
  }
  return { rows, differences, notCompared }
}

async function compareLate({ executor, left, right }: Sides): Promise<Compared> {
  const differences: Difference[] = []
  let rows = 0
  for (const channel of lateChannels(left.manifest, right.manifest)) {
    const own = await channelRows(left, executor, channel)
    rows += await compare(executor, channel, own, await channelRows(right, executor, channel), differences)
  }
  return { rows, differences }
}

/** One object an epoch where the checkpoint has more, all in a few where it has one. */
function anotherCut({ epoch, engine }: Manifest): number {
  return engine.nextSeq - 1 > epoch * 1.5 ? 1 : 3
}

function outputNames(...manifests: readonly Manifest[]): readonly string[] {
  return [...new Set(manifests.flatMap(manifest => Object.keys(outputsOf(manifest))))].toSorted()
}

/**
 * Where the output of a flow lies: where the pipeline says now, if the marker of that folder names this checkpoint (it
 * may have moved with it), or else where the run wrote it.
 *
 * @param own where the pipeline says now
 */
async function addressOfOutput(
  parts: Components,
  manifest: Manifest,
  flow: string,
  own: string | undefined,
): Promise<string | undefined> {
  const recorded = outputsOf(manifest)[flow]
  if (own === undefined || own === recorded) return recorded
  const published = await openPublished(parts, manifest, flow, own)
  return (await published?.isOf(manifest.checkpointId)) ? own : recorded
}

/** Kinds that nothing can be read back of write files in a replay: what is out in the world is out. */
function asFiles(sinks: readonly SinkKind[]): readonly SinkKind[] {
  const files = sinks.find(({ kind }) => kind === 'files')
  if (!files) return sinks
  const open: SinkKind['open'] = ({ uri }, context) => files.open(sinkAt(uri, { format: 'parquet' }), context)
  return sinks.map(({ kind, call, ...described }) =>
    described.reader ? { kind, call, ...described } : { kind, call, open },
  )
}

async function readerOf(
  parts: Components,
  manifest: Manifest,
  address: string | undefined,
  flow: string,
): Promise<SinkReader | undefined> {
  if (address === undefined) throw configError('output', flow, 'a flow that the checkpoint has output of')
  return openPublished(parts, manifest, flow, address)
}

function lateChannels(...manifests: readonly Manifest[]): readonly string[] {
  const names = manifests.flatMap(manifest => Object.keys(manifest.channels))
  return [...new Set(names.filter(name => name.startsWith('late-')))].toSorted()
}

/** The rows of a flow's output, as a table; undefined when it has none. */
async function outputRows(
  reader: ChannelReader,
  executor: Executor,
  sinks: readonly SinkKind[],
  published: SinkReader,
  flow: string,
): Promise<string | undefined> {
  const columns = outputColumns(reader.manifest)[flow]
  const key = changeKeys(reader.manifest)[flow]
  const rows = (file: LocalFile) => (key ? published.rows([file], columns) : published.compared(file))
  let table: string | undefined
  for (const ref of await outputRefs(reader, executor, flow)) {
    const file = join(reader.stage, reader.newId())
    await published.load(ref, file, waitingAs(reader.manifest, flow, ref))
    table = await append(executor, table, rows({ file, name: ref.name }))
    await rm(file, { force: true })
  }
  // What is committed and waits for rows of later epochs counts as published.
  for (const held of await heldAsFiles(reader, executor, sinks, flow)) {
    table = await append(executor, table, rows(held))
    await rm(held.file, { force: true })
  }
  // Another cut has other changes; what they come to is the same (law 1).
  return table && key && columns ? latestRows(executor, table, key, Object.keys(columns)) : table
}

/** What late rows changed of a flow's results since they were given; undefined when it has no such changes. */
async function correctionRows(
  reader: ChannelReader,
  executor: Executor,
  published: SinkReader,
  flow: string,
): Promise<string | undefined> {
  const columns = correctionColumns(reader.manifest, flow)
  let table: string | undefined
  for (const ref of await correctionRefs(reader, executor, flow)) {
    const file = join(reader.stage, reader.newId())
    await published.load(ref, file, waitingAs(reader.manifest, flow, ref))
    table = await append(executor, table, published.rows([{ file, name: ref.name }], columns))
    await rm(file, { force: true })
  }
  // The cut numbers the epochs.
  if (table !== undefined) await executor.run(`ALTER TABLE ${table} DROP COLUMN _epoch`)
  return table
}

async function latestRows(
  executor: Executor,
  changes: string,
  key: readonly string[],
  columns: readonly string[],
): Promise<string> {
  const table = await append(executor, undefined, `(${latestSql(changes, key, resultColumns(columns))})`)
  await executor.run(`DROP TABLE ${changes}`)
  return table
}

async function channelRows(reader: ChannelReader, executor: Executor, channel: string): Promise<string | undefined> {
  let table: string | undefined
  await eachPart(reader, executor, channel, async rows => {
    table = await append(executor, table, rows)
  })
  // Why a row is late is told in words, which another release may choose otherwise.
  if (table !== undefined) await executor.run(`ALTER TABLE ${table} DROP COLUMN IF EXISTS _reason`)
  return table
}

async function append(executor: Executor, table: string | undefined, rows: string): Promise<string> {
  const name = table ?? `compared_${randomUUID().replaceAll('-', '')}`
  await executor.run(
    table === undefined ? `CREATE TABLE ${name} AS SELECT * FROM ${rows}` : `INSERT INTO ${name} SELECT * FROM ${rows}`,
  )
  return name
}

/** Compares two tables as multisets of rows; tells the first row that differs, by column order. How many rows. */
async function compare(
  executor: Executor,
  of: string,
  left: string | undefined,
  right: string | undefined,
  differences: Difference[],
): Promise<number> {
  const all = (table: string | undefined, other: string | undefined) =>
    table === undefined ? `(SELECT * FROM ${other} LIMIT 0)` : `(SELECT * FROM ${table})`
  if (left === undefined && right === undefined) return 0
  const [l, r] = [all(left, right), all(right, left)]
  const [first] = await executor.rows(
    `SELECT * FROM (SELECT 'checkpoint' AS _only, * FROM (${l} EXCEPT ALL ${r}) UNION ALL ` +
      `SELECT 'replay' AS _only, * FROM (${r} EXCEPT ALL ${l})) ORDER BY COLUMNS(* EXCLUDE (_only)) LIMIT 1`,
  )
  if (first) {
    const { _only, ...row } = first
    differences.push({ of, only: _only as Difference['only'], row })
  }
  const [count] = await executor.rows(`SELECT count(*) AS n FROM ${l}`)
  for (const table of [left, right]) if (table !== undefined) await executor.run(`DROP TABLE ${table}`)
  return Number(count?.n)
}
