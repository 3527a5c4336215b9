import { deleteListed } from '../../checkpoints/collect.ts'
import { inlineFileBytesMax } from '../../checkpoints/decide.ts'
import { loadFile } from '../../checkpoints/files.ts'
import { isSameContent, readObject } from '../../checkpoints/objects.ts'
import { outputPrefix, parseStagedPath, stagedPrefix } from '../../checkpoints/paths.ts'
import { verifyFile } from '../../checkpoints/repair.ts'
import { realSleep, retrying } from '../../checkpoints/retry.ts'
import type { Json } from '../../src/core/json.ts'
import { atOnce } from '../../src/core/at-once.ts'
import { configError } from '../../src/core/errors.ts'
import type { FileForm, ObjectStore } from '../../src/core/ports.ts'
import type { SinkPort, SinkRepair, SinkTraces } from '../../src/core/sink-port.ts'
import { type ParsedType, parseColumnType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import { type SinkContext, type SinkKind, type SinkReader, type SinkRows, snapshotFolder } from '../../src/plan/sink.ts'
import { id, parquetRows, text } from '../../src/plan/sql.ts'
import { jsonValue } from '../json/values.ts'
import { createOutbox, readOwner } from './outbox.ts'
import { outputKey, outputsBeyond, parseOutputKey } from './output-key.ts'
import { folderOf, partitionsOf, valuesOf } from './partitions.ts'
import { files, filesOptions, type FilesSink } from './spec.ts'

/** Files of a folder, each visible only after its epoch's commit. */
export const filesKind: SinkKind<FilesSink> = {
  kind: 'files',
  call: 'files(...)',
  options: filesOptions,
  make: ({ uri, ...options }) => files(uri as string, options as never),
  isFolder: true,
  takesCorrections: true,
  // The next epoch is computed while one is published, and staged after it.
  behind: { epochsMax: 1 },
  rows: outputRows,
  open: openFiles,
  reader: async (sink, openInput) => createReader(await openInput(sink.uri), sink),
}

/** Requests of one epoch that are under way at once. */
const atOnceMax = 16

/** The flow's columns; in JSON and CSV, which have no NaN and no lists, those as text. */
function outputRows(sink: FilesSink, columns: ColumnTypes, at: string): SinkRows {
  const { format, compression, rowGroupRows, partitionBy, partitionColumns = 'path' } = sink
  const form: FileForm = { format, ...(compression && { compression }), ...(rowGroupRows && { rowGroupRows }) }
  const field = `${at}: files: partitionBy`
  const partitions = partitionBy && partitionsOf(partitionBy, columns, field)
  const isLeftOut = (name: string) =>
    partitionColumns === 'path' && partitions?.some(one => one.type && one.name === name)
  const kept = Object.entries(columns).filter(([name]) => !isLeftOut(name))
  if (kept.length === 0) throw configError(field, partitionBy, 'at least one column that stays in the files')
  return {
    items: kept.map(([name, type]) => outputItem(name, type, sink)).join(', '),
    form,
    ...(partitions && {
      partitions: {
        texts: partitions.map(({ sql }) => sql),
        folder: values => folderOf(partitions, values, field),
      },
    }),
  }
}

function outputItem(name: string, declared: string, { format, zone }: FilesSink): string {
  if (format === 'parquet') return id(name)
  const type = parseColumnType(declared, name)
  if (format === 'csv' && !isNested(type)) return id(name)
  const value = jsonValue(id(name), type, zone)
  return `${format === 'csv' ? `CAST(to_json(${value}) AS VARCHAR)` : value} AS ${id(name)}`
}

const isNested = ({ list, value }: ParsedType) => list || value !== undefined

function extensionOf({ format, compression = 'none' }: FilesSink): string {
  if (format === 'parquet') return 'parquet'
  const compressed = { gzip: '.gz', zstd: '.zst', snappy: '', none: '' }[compression]
  return `${format === 'json' ? 'jsonl' : 'csv'}${compressed}`
}

async function openFiles(sink: FilesSink, context: SinkContext): Promise<SinkPort> {
  const { output, sleep } = context
  const store = await context.openStore(sink.uri)
  const outbox = createOutbox({ ...context, store })
  const extension = extensionOf(sink)
  const isParted = sink.partitionBy !== undefined || sink.snapshot !== undefined || context.hasCorrections === true
  return {
    address: store.address,
    // A later change than those that are to be seen first would be taken back by them.
    isOrdered: context.operation === 'change',
    check: outbox.check,
    own: outbox.own,
    async through(known) {
      const beyond = await retrying(sleep, () => outputsBeyond(store, output, known, isParted))
      return Math.max(known, ...beyond.map(({ epoch }) => epoch))
    },
    async stage({ term, epoch, files, inlineBytesMax }) {
      const counts = new Map<string, number>()
      const names = files.map(({ folder = '' }) => {
        const index = counts.get(folder) ?? 0
        counts.set(folder, index + 1)
        return `${folder}${outputKey(epoch, output, extension, index)}`
      })
      let left = inlineBytesMax
      const rooms = files.map(({ bytes }) => {
        const room = bytes <= inlineFileBytesMax && bytes <= left ? bytes : 0
        left -= room
        return room
      })
      const staged = await atOnce(atOnceMax, files, ({ file, rows }, index) =>
        outbox.stage({ term, epoch, file, rows, to: names[index] as string, inlineBytesMax: rooms[index] ?? 0 }),
      )
      return { receipt: names, files: staged, names }
    },
    async publish({ receipt, files }) {
      const names = namesIn(receipt)
      await atOnce(atOnceMax, files, (file, index) => outbox.publish(file, names[index] as string))
      return 'published'
    },
    async orphans(term, named) {
      const staged = await outbox.orphans(term, named)
      return sink.snapshot === undefined ? staged : staged + (await deleteOldSnapshots(store, output, named, sleep))
    },
    discard: names => store.delete(names),
    repair: createRepair(store, output, isParted, sleep),
  }
}

/**
 * A snapshot goes when there are two newer ones. A writer that was asleep when it was to publish one, and wakes up
 * after that, makes it visible once more: the next claim removes it (P12). Newer ones than the claim knows of are
 * `named`: a claim may be asleep too.
 */
function deleteOldSnapshots(
  store: ObjectStore,
  output: string,
  named: (name: string) => boolean,
  sleep: SinkContext['sleep'],
): Promise<number> {
  return retrying(sleep, () =>
    deleteListed(store, snapshotFolder, key => parseOutputKey(key)?.flow === output && !named(key)),
  )
}

/** The final keys of an epoch's files, in their order. */
function namesIn(receipt: Json): readonly string[] {
  return receipt as readonly string[]
}

/** Where withdrawn output lies, below its own folder: readers do not look there. */
const withdrawnPrefix = `${outputPrefix}withdrawn/`

function createRepair(store: ObjectStore, output: string, isParted: boolean, sleep: SinkContext['sleep']): SinkRepair {
  return {
    async traces(epoch) {
      const beyond = await outputsBeyond(store, output, epoch, isParted)
      const names: { readonly term?: number; readonly epoch: number }[] = [...beyond]
      for await (const { key } of store.list(stagedPrefix)) names.push(...[parseStagedPath(key) ?? []].flat())
      // Of a repair that was broken off before HEAD was there.
      for await (const { key } of store.list(withdrawnPrefix))
        names.push(...[parseOutputKey(key.slice(withdrawnPrefix.length)) ?? []].flat())
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
        const put = await store.copy(key, `${withdrawnPrefix}${key}`)
        if (put.is === 'unknown') throw put.cause
        await store.delete([key])
      }
    },
  }
}

function createReader(store: ObjectStore, sink: FilesSink): SinkReader {
  const read = { parquet: parquetFiles, json: jsonRows, csv: csvRows }[sink.format]
  return {
    isOf: async checkpointId => (await readOwner(store)) === checkpointId,
    async load(file, to, waiting) {
      await loadFile(store, file, to, realSleep).catch((error: unknown) => {
        // What is committed is true before it is published (P8).
        if (waiting === undefined) throw error
        return loadFile(store, waiting, to, realSleep)
      })
    },
    rows(files, columns) {
      const left = leftOut(sink, columns)
      const paths = files.map(({ file }) => file)
      if (left.length === 0 || columns === undefined) return read(paths, columns, sink)
      const inFile = Object.fromEntries(
        Object.entries(columns).filter(([name]) => !left.some(one => one.name === name)),
      )
      // Each file's own values of what its folders are named after.
      const values = files.map(({ file, name }) => `(${[file, ...valuesIn(name, left)].map(literal).join(', ')})`)
      const names = ['file', ...left.map((_, index) => `v${index}`)]
      const items = Object.entries(columns).map(([name, type]) => {
        const index = left.findIndex(one => one.name === name)
        return index < 0 ? `_rows.${id(name)}` : `CAST(_folders.v${index} AS ${type}) AS ${id(name)}`
      })
      return (
        `(SELECT ${items.join(', ')} FROM ${read(paths, inFile, sink, ", filename = '_file'")} AS _rows ` +
        `JOIN (VALUES ${values.join(', ')}) AS _folders(${names.join(', ')}) ON _rows._file = _folders.file)`
      )
    },
    compared({ file, name }) {
      // Text is compared as text: millrace wrote both sides.
      const compared = { parquet: parquetRows([file]), json: jsonText(file, sink), csv: csvText([file], sink) }[
        sink.format
      ]
      const folders = sink.partitionBy === undefined ? [] : valuesOf(name)
      const values = folders.map((value, index) => `, CAST(${literal(value)} AS VARCHAR) AS _folder${index}`)
      return folders.length === 0 ? compared : `(SELECT *${values.join('')} FROM ${compared})`
    },
  }
}

const literal = (value: string | null) => (value === null ? 'NULL' : text(value))

interface LeftOut {
  readonly name: string
  /** Which level of folders has it. */
  readonly level: number
}

/** The columns that only folders have. */
function leftOut({ partitionBy, partitionColumns = 'path' }: FilesSink, columns: ColumnTypes = {}): readonly LeftOut[] {
  if (partitionBy === undefined || partitionColumns !== 'path') return []
  const levels = partitionsOf(partitionBy, columns, 'files: partitionBy')
  return levels.flatMap(({ name, type }, level) => (type ? [{ name, level }] : []))
}

function valuesIn(key: string, left: readonly LeftOut[]): readonly (string | null)[] {
  const values = valuesOf(key)
  return left.map(({ level }) => values[level] ?? null)
}

function parquetFiles(
  files: readonly string[],
  _columns: ColumnTypes | undefined,
  _sink: FilesSink,
  more = '',
): string {
  return parquetRows(files, more)
}

/** @param columns absent in a checkpoint that was last written by a millrace that did not record them */
function jsonRows(
  files: readonly string[],
  columns: ColumnTypes | undefined,
  { compression }: FilesSink,
  more = '',
): string {
  // Without types every row is asked for them: one beyond a sample could fail by them.
  const types = columns ? `columns = ${typesSql(columns)}` : 'sample_size = -1'
  return (
    `read_json([${files.map(text).join(', ')}], ` +
    `format = 'newline_delimited'${compressedBy(compression)}, hive_partitioning = false, ${types}${more})`
  )
}

function jsonText(file: string, { compression }: FilesSink): string {
  return `(SELECT json FROM read_ndjson_objects(${text(file)}${compressedBy(compression)}, hive_partitioning = false))`
}

/** The local files of readers have no endings that would tell. */
const compressedBy = (compression: FilesSink['compression'] = 'none') =>
  compression === 'none' ? '' : `, compression = ${text(compression)}`

/** How CSV is to be read so that NULL and an empty text are what they were: docs/guides/output-files.md. */
const csvOptions =
  `header = true, delim = ',', quote = '"', escape = '"', ` +
  `nullstr = '', allow_quoted_nulls = false, hive_partitioning = false`

function csvText(files: readonly string[], { compression }: FilesSink): string {
  return `read_csv([${files.map(text).join(', ')}], ${csvOptions}, all_varchar = true${compressedBy(compression)})`
}

function csvRows(files: readonly string[], columns: ColumnTypes | undefined, sink: FilesSink, more = ''): string {
  if (columns === undefined) return csvText(files, sink)
  const nested = Object.entries(columns).filter(([name, type]) => isNested(parseColumnType(type, name)))
  const read = { ...columns, ...Object.fromEntries(nested.map(([name]) => [name, 'VARCHAR'])) }
  const rows =
    `read_csv([${files.map(text).join(', ')}], ${csvOptions}, auto_detect = false` +
    `${compressedBy(sink.compression)}, columns = ${typesSql(read)}${more})`
  if (nested.length === 0) return rows
  const casts = nested.map(([name, type]) => `CAST(CAST(${id(name)} AS JSON) AS ${type}) AS ${id(name)}`)
  return `(SELECT * REPLACE (${casts.join(', ')}) FROM ${rows})`
}

const typesSql = (columns: ColumnTypes) =>
  `{${Object.entries(columns)
    .map(([name, type]) => `${id(name)}: ${text(type)}`)
    .join(', ')}}`
