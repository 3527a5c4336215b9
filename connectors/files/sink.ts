import { loadFile } from '../../checkpoints/files.ts'
import { isSameContent, readObject } from '../../checkpoints/objects.ts'
import { OUTPUT_PREFIX, parseStagedPath, STAGED_PREFIX } from '../../checkpoints/paths.ts'
import { verifyFile } from '../../checkpoints/repair.ts'
import { realSleep, retrying } from '../../checkpoints/retry.ts'
import type { Json } from '../../src/core/json.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkPort, SinkRepair, SinkTraces, WaitingFile } from '../../src/core/sink-port.ts'
import { parseColumnType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { SinkContext, SinkKind, SinkReader, SinkRows } from '../../src/plan/sink.ts'
import { id, parquetRows, text } from '../../src/plan/sql.ts'
import { jsonValue } from '../json/values.ts'
import { createOutbox, readOwner } from './outbox.ts'
import { outputKey, outputsBeyond, parseOutputKey } from './output-key.ts'
import type { FilesSink } from './spec.ts'

/** Files of a folder, each visible only after its epoch's commit. */
export const filesKind: SinkKind<FilesSink> = {
  kind: 'files',
  call: 'files(...)',
  isFolder: true,
  // The next epoch is computed while one is published, and staged after it.
  behind: { epochsMax: 1 },
  rows: outputRows,
  open: openFiles,
  async reader({ uri, format }, openInput) {
    return createReader(await openInput(uri), format)
  },
}

/** The flow's columns; in JSON, which has no NaN and no infinities, those as text. */
function outputRows({ format, zone }: FilesSink, columns: ColumnTypes): SinkRows {
  const item = (name: string, type: string) =>
    format === 'json' ? `${jsonValue(id(name), parseColumnType(type, name), zone)} AS ${id(name)}` : id(name)
  const items = Object.entries(columns).map(([name, type]) => item(name, type))
  return { items: items.join(', '), format }
}

async function openFiles({ uri, format }: FilesSink, context: SinkContext): Promise<SinkPort> {
  const { output, sleep } = context
  const store = await context.openStore(uri)
  const outbox = createOutbox({ ...context, store })
  const extension = format === 'json' ? 'jsonl' : 'parquet'
  return {
    address: store.address,
    isOrdered: false,
    check: outbox.check,
    own: outbox.own,
    async through(known) {
      const beyond = await retrying(sleep, () => outputsBeyond(store, output, known))
      return Math.max(known, ...beyond.map(({ epoch }) => epoch))
    },
    async stage({ term, epoch, files, inlineBytesMax }) {
      const staged: WaitingFile[] = []
      const names: string[] = []
      let left = inlineBytesMax
      for (const [index, { file, rows }] of files.entries()) {
        const to = outputKey(epoch, output, extension, index)
        const waiting = await outbox.stage({ term, epoch, file, rows, to, inlineBytesMax: left })
        if (waiting.inline !== undefined) left -= waiting.bytes
        staged.push(waiting)
        names.push(to)
      }
      return { receipt: names, files: staged, names }
    },
    async publish({ receipt, files }) {
      const names = namesIn(receipt)
      await Promise.all(files.map((file, index) => outbox.publish(file, names[index] as string)))
      return 'published'
    },
    orphans: outbox.orphans,
    discard: names => store.delete(names),
    repair: createRepair(store, output, sleep),
  }
}

/** The final keys of an epoch's files, in their order. */
function namesIn(receipt: Json): readonly string[] {
  return receipt as readonly string[]
}

/** Where withdrawn output lies, below its own folder: readers do not look there. */
const WITHDRAWN_PREFIX = `${OUTPUT_PREFIX}withdrawn/`

function createRepair(store: ObjectStore, output: string, sleep: SinkContext['sleep']): SinkRepair {
  return {
    async traces(epoch) {
      const beyond = await outputsBeyond(store, output, epoch)
      const names: { readonly term?: number; readonly epoch: number }[] = [...beyond]
      for await (const { key } of store.list(STAGED_PREFIX)) names.push(...[parseStagedPath(key) ?? []].flat())
      // Of a repair that was broken off before HEAD was there.
      for await (const { key } of store.list(WITHDRAWN_PREFIX))
        names.push(...[parseOutputKey(key.slice(WITHDRAWN_PREFIX.length)) ?? []].flat())
      const highest = (values: readonly number[]) => Math.max(0, ...values)
      return {
        term: highest(names.map(({ term = 0 }) => term)),
        epoch: highest(names.map(name => name.epoch)),
        later: beyond.map(({ key }) => key),
      } satisfies SinkTraces
    },
    async verify({ receipt, files }) {
      const names = namesIn(receipt)
      for (const [index, file] of files.entries()) {
        if (file.inline !== undefined) continue
        // Published before and collected since, or still to be published by the next start (P10).
        const published = await readObject(store, names[index] as string, file.bytes, sleep)
        if (published === 'missing' || !isSameContent(published, file)) await verifyFile(store, file.name, file, sleep)
      }
    },
    async withdraw(names) {
      // A file is deleted once its copy is there.
      for (const key of names) {
        const put = await store.copy(key, `${WITHDRAWN_PREFIX}${key}`)
        if (put.is === 'unknown') throw put.cause
        await store.delete([key])
      }
    },
  }
}

function createReader(store: ObjectStore, format: FilesSink['format']): SinkReader {
  const isJson = format === 'json'
  return {
    isOf: async checkpointId => (await readOwner(store)) === checkpointId,
    async load(file, to, waiting) {
      await loadFile(store, file, to, realSleep).catch((error: unknown) => {
        // What is committed is true before it is published (P8).
        if (waiting === undefined) throw error
        return loadFile(store, waiting, to, realSleep)
      })
    },
    rows: (files, columns) => (isJson ? jsonRows(files, columns) : parquetRows(files)),
    // JSON lines are compared as text: millrace wrote both sides.
    compared: file =>
      isJson ? `(SELECT json FROM read_ndjson_objects(${text(file)}, hive_partitioning = false))` : parquetRows([file]),
  }
}

/** @param columns absent in a checkpoint that was last written by a millrace that did not record them */
function jsonRows(files: readonly string[], columns: ColumnTypes | undefined): string {
  // Without types every row is asked for them: one beyond a sample could fail by them.
  const types = columns
    ? `columns = {${Object.entries(columns)
        .map(([name, type]) => `${id(name)}: ${text(type)}`)
        .join(', ')}}`
    : 'sample_size = -1'
  return `read_json([${files.map(text).join(', ')}], format = 'newline_delimited', hive_partitioning = false, ${types})`
}
