import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Manifest } from '../../checkpoints/types.ts'
import { configError } from '../core/errors.ts'
import { askedAs, type ObjectVersion } from '../core/object-version.ts'
import { readOptions } from '../core/options.ts'
import type { Executor, Row } from '../core/ports.ts'
import type { KeySettings } from '../plan/key-settings.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { type SinkKind, type SinkReader, sinkAt } from '../plan/sink.ts'
import { backfillWith } from './backfill.ts'
import { checkPipeline } from './bind/fit-plan.ts'
import { components, type Components } from './components.ts'
import { openScratch } from './duckdb/scratch.ts'
import { openSession, type Session } from './duckdb/session.ts'
import { linksOf } from './intake/key-kind.ts'
import { type VerifyOptions, verifyOptions } from './options.ts'
import { placeOf } from './publish/outputs.ts'
import { openPublished, waitingAs } from './publish/published.ts'
import { openMoved } from './replay/moved.ts'
import { type ChannelReader, eachPart, outputRefs } from './state/channels.ts'
import { versionOf } from './state/ledger.ts'
import { outputsOf, readCheckpoint } from './state/read-checkpoint.ts'

/** A row that one side has and the other has not. */
export interface Difference {
  /** 'flow-1', or 'late rows of flow-1'. */
  readonly of: string
  /** Which side has it. */
  readonly only: 'checkpoint' | 'replay'
  readonly row: Row
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

export interface ChangedObject {
  readonly key: string
  readonly expected: { readonly modified: string; readonly sizeBytes: number }
  readonly found: { readonly modified: string; readonly sizeBytes: number }
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
    const { objects, keys } = await checkPipeline(manifest, pipeline, address, executor)
    const { gone, deleted, changed } = await missingObjects(reader, executor, parts, options.input ?? objects, keys)
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

    // Every address that the replay writes to lies in the scratch folder, as files.
    const moved = new Map<string, string>()
    const elsewhere: Components = {
      ...parts,
      sinks: asFiles(parts.sinks),
      openWritable(original, field) {
        const address = moved.get(original) ?? pathToFileURL(join(scratch.path, String(moved.size))).href
        moved.set(original, address)
        return parts.openWritable(address, field)
      },
    }
    const { objectsPerEpoch = anotherCut(manifest), output: _, checkpoint: __, ...run } = options
    const summary = await backfillWith(elsewhere, pipeline, {
      ...run,
      checkpoint: address,
      ledger: address,
      objectsPerEpoch,
    })
    const copyAddress = moved.get(address) as string
    const copy = await readCheckpoint(parts, copyAddress, 'checkpoint', session.stage)
    const replayed: ChannelReader = { ...reader, checkpoint: copy.checkpoint, manifest: copy.head.manifest }

    const differences: Difference[] = []
    const notCompared: string[] = []
    let rows = 0
    let lateRows = 0
    for (const flow of outputNames(manifest, copy.head.manifest)) {
      const copied = outputsOf(copy.head.manifest)[flow]
      const own = [...moved].find(([, address]) => address === copied)?.[0]
      const address = placeOf(options.output, flow) ?? (await addressOfOutput(parts, manifest, flow, own))
      const published = await readerOf(parts, manifest, address, flow)
      if (!published) {
        notCompared.push(flow)
        continue
      }
      const left = await outputRows(reader, executor, published, flow)
      const repeated = await readerOf(parts, copy.head.manifest, copied, flow)
      const right = repeated && (await outputRows(replayed, executor, repeated, flow))
      rows += await compare(executor, flow, left, right, differences)
    }
    for (const channel of lateChannels(manifest, copy.head.manifest)) {
      const left = await channelRows(reader, executor, channel)
      const right = await channelRows(replayed, executor, channel)
      lateRows += await compare(executor, channel, left, right, differences)
    }
    const replayEpochs = summary.totals.epochs
    return { ...nothing, replayEpochs, rows, lateRows, differences, notCompared, gone, deleted, changed }
  } finally {
    await session?.close()
    await scratch.close()
  }
}

/** One object an epoch where the checkpoint has more, all in a few where it has one. */
function anotherCut({ epoch, engine }: Manifest): number {
  return engine.nextSeq - 1 > epoch * 1.5 ? 1 : 3
}

/** Objects that the ledger says were read and that are not at the input as they were. */
async function missingObjects(
  reader: ChannelReader,
  executor: Executor,
  parts: Components,
  address: string,
  keys: KeySettings,
): Promise<Pick<Verification, 'gone' | 'deleted' | 'changed'>> {
  const input = await parts.findInput(address, 'input')
  const store = await parts.openInput(input.root, 'input', linksOf(input, keys))
  const wanted = new Map<string, ObjectVersion>()
  const known = new Set<string>()
  await eachPart(reader, executor, 'ledger', async rows => {
    for (const row of await executor.rows(`SELECT * FROM ${rows} WHERE outcome = 'read'`)) {
      wanted.set(`${String(row.key)}\n${String(row.e_tag)}`, versionOf(row))
      known.add(String(row.key))
    }
  })
  const there = new Map<string, ObjectVersion>()
  for await (const version of store.list('')) {
    const { key, eTag } = version
    if (!wanted.delete(`${key}\n${eTag}`) && known.has(key)) there.set(key, version)
  }
  const { missing, deleted } = await notMoved([...wanted.values()], reader, executor, parts)
  return {
    deleted,
    gone: missing.flatMap(({ key }) => (there.has(key) ? [] : [key])),
    changed: missing.flatMap(expected => {
      const found = there.get(expected.key)
      return found ? [{ key: expected.key, expected: seen(expected), found: seen(found) }] : []
    }),
  }
}

/** Those of them that `after` has not moved to where they still are as they were; and those that it has deleted. */
async function notMoved(
  missing: readonly ObjectVersion[],
  reader: ChannelReader,
  executor: Executor,
  parts: Components,
): Promise<{ readonly missing: readonly ObjectVersion[]; readonly deleted: readonly string[] }> {
  if (missing.length === 0) return { missing, deleted: [] }
  const moved = await openMoved(reader, executor, parts)
  const left: ObjectVersion[] = []
  const deleted: string[] = []
  for (const version of missing) {
    const there = await moved.find(version.key, version.eTag)
    if (there === 'deleted') deleted.push(version.key)
    if (there === undefined || there === 'deleted') left.push(version)
    else {
      const found = await there.store.get(there.version.key, { ...askedAs(there.version), range: [0, 1] })
      if (typeof found === 'string') left.push(version)
    }
  }
  return { missing: left, deleted }
}

/** When it was modified, ISO 8601: of a file to the nanosecond, which `touch -d` restores and its eTag ends in. */
function seen({ bucket, eTag, lastModifiedMs, sizeBytes }: ObjectVersion): ChangedObject['found'] {
  const iso = new Date(Math.floor(lastModifiedMs)).toISOString()
  const nanos = bucket === '' ? /(\d{9})$/.exec(eTag)?.[1] : undefined
  return { modified: nanos === undefined ? iso : `${iso.slice(0, 19)}.${nanos}Z`, sizeBytes }
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
    described.reader ? { kind, call, ...described } : { kind, call, isFolder: true, open },
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
  published: SinkReader,
  flow: string,
): Promise<string | undefined> {
  let table: string | undefined
  for (const ref of await outputRefs(reader, executor, flow)) {
    const file = join(reader.stage, reader.newId())
    await published.load(ref, file, waitingAs(reader.manifest, flow, ref))
    table = await append(executor, table, published.compared({ file, name: ref.name }))
    await rm(file, { force: true })
  }
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
