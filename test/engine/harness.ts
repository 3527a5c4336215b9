/** A backfill in a folder of its own: inputs written by DuckDB or as text, everything it left behind read back. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { eachPart } from '../../src/engine/state/channels.ts'
import { createExecutor } from '../../src/engine/duckdb/executor.ts'
import type { Head } from '../../checkpoints/types.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import {
  aggregate,
  type BackfillOptions,
  backfill,
  count,
  type FormatSpec,
  files,
  groupBy,
  hopping,
  json,
  MillraceError,
  type Pipeline,
  parquet,
  pipeline,
  session,
  source,
  type Summary,
  to,
  tumbling,
  where,
} from '../../src/index.ts'

/** A row with every value as DuckDB writes it as text; NULL as null. */
export type TextRow = Readonly<Record<string, string | null>>

/** Where one checkpoint and its output lie. */
export interface Place {
  readonly output: string
  readonly checkpoint: string
}

export interface Lab extends Place, AsyncDisposable {
  readonly root: string
  readonly input: string
  /** Another checkpoint and output beside the first, over the same input. */
  place(name: string): Place
  /** Runs SQL on a DuckDB that knows nothing of millrace. */
  sql(query: string): Promise<TextRow[]>
  /** Writes the query's rows as an input object. `options` go to COPY. */
  parquet(key: string, query: string, options?: string): Promise<string>
  /** Writes lines as an input object; nothing after the last line but its end. */
  lines(key: string, lines: readonly string[]): Promise<string>
  /** Every output row of a place, file after file, as text. */
  rows(at?: Place): Promise<TextRow[]>
  head(at?: Place): Promise<Head>
  /** Rows of one of the checkpoint's channels, as text. */
  channel(name: string, at?: Place): Promise<TextRow[]>
  /** Rows of all channels that begin so: `late-`, `segment-`. */
  channels(prefix: string, at?: Place): Promise<TextRow[]>
}

export async function openLab(): Promise<Lab> {
  const root = await mkdtemp(join(tmpdir(), 'millrace-engine-'))
  const input = join(root, 'in')
  await mkdir(input)
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await instance.connect()
  await connection.run(`SET TimeZone = 'UTC'`)
  const executor = createExecutor(connection, new AbortController().signal, () => instance.connect())
  const place = (name: string): Place => ({ output: join(root, `${name}-out`), checkpoint: join(root, `${name}-ck`) })
  const first = place('a')

  const withCheckpoint = <T>(at: Place, work: (store: ReturnType<typeof createCheckpointStore>) => Promise<T>) =>
    work(
      createCheckpointStore({
        store: createDirectoryStore(at.checkpoint),
        owner: 'test',
        newId: randomUUID,
        scratch: root,
        merge: () => Promise.reject(new Error('a reader merges nothing')),
      }),
    )
  const head = (at: Place = first) =>
    withCheckpoint(at, async store => {
      const found = await store.readHead()
      if (!found) throw new Error(`${at.checkpoint} holds no checkpoint`)
      return found
    })
  const channel = (name: string, at: Place = first) =>
    withCheckpoint(at, async store => {
      const rows: TextRow[] = []
      const { manifest } = await head(at)
      await eachPart({ checkpoint: store, manifest, stage: root, newId: randomUUID }, executor, name, async from => {
        rows.push(...(await textRows(connection, `FROM ${from}`)))
      })
      return rows
    })

  return {
    root,
    input,
    ...first,
    place,
    sql: query => textRows(connection, query),
    async parquet(key, query, options = '') {
      const file = join(input, key)
      await mkdir(dirname(file), { recursive: true })
      await connection.run(`COPY (${query}) TO ${quoted(file)} (FORMAT parquet${options && `, ${options}`})`)
      return file
    },
    async lines(key, lines) {
      const file = join(input, key)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, lines.map(line => `${line}\n`).join(''))
      return file
    },
    async rows(at = first) {
      const rows: TextRow[] = []
      for (const file of await outputFiles(at.output)) {
        const path = join(at.output, file)
        if (file.endsWith('.jsonl')) rows.push(...(await readFile(path, 'utf8')).split('\n').flatMap(jsonRow))
        else rows.push(...(await textRows(connection, `FROM read_parquet(${quoted(path)})`)))
      }
      return rows
    },
    head,
    channel,
    async channels(prefix, at = first) {
      const names = Object.keys((await head(at)).manifest.channels).filter(name => name.startsWith(prefix))
      const rows: TextRow[] = []
      // One after the other: each loads its rows and reads them on the same connection.
      for (const name of names) rows.push(...(await channel(name, at)))
      return rows
    },
    async [Symbol.asyncDispose]() {
      connection.closeSync()
      instance.closeSync()
      // A property whose time is up may leave a run behind that still writes.
      await rm(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}

async function textRows(connection: DuckDBConnection, query: string): Promise<TextRow[]> {
  const reader = await connection.runAndReadAll(`SELECT COLUMNS(*)::VARCHAR FROM (${query})`)
  const names = reader.deduplicatedColumnNames()
  return reader
    .getRows()
    .map(row => Object.fromEntries(names.map((name, index) => [name, row[index] as string | null])))
}

/** A line of JSON output; numbers keep their source text, which JavaScript would round. */
function jsonRow(line: string): TextRow[] {
  if (line === '') return []
  const text = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' || typeof value === 'boolean' ? context?.source : value
  return [JSON.parse(line, text as (key: string, value: unknown) => unknown) as TextRow]
}

/** Names of visible output files, in order of their epochs; nothing hidden, nothing staged, and no snapshots of other files. */
export async function outputFiles(output: string): Promise<string[]> {
  const names = await readdir(output, { recursive: true }).catch(() => [])
  return names.filter(name => /^(?!_millrace\/|snapshot\/)(.*\/)?part-[^/]*$/.test(name)).toSorted()
}

/** File name to the hash of its bytes. */
export async function outputHashes(output: string): Promise<Record<string, string>> {
  const names = await outputFiles(output)
  const hash = async (name: string) =>
    createHash('sha256')
      .update(await readFile(join(output, name)))
      .digest('hex')
  return Object.fromEntries(await Promise.all(names.map(async name => [name, await hash(name)] as const)))
}

export function quoted(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

export function name(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

/** What most tests vary of a pipeline with one windowed flow. */
export interface WindowedFlow {
  readonly columns: Readonly<Record<string, string>>
  readonly time?: string
  readonly format?: 'parquet' | 'json' | FormatSpec
  readonly output?: 'parquet' | 'json'
  readonly zone?: 'Z'
  readonly delay?: string
  readonly bounds?: string | { readonly lastModifiedSkew: string }
  readonly mark?: { readonly quantile: number }
  readonly onBadRow?: 'fail' | 'quarantine'
  readonly onBadObject?: 'fail' | 'skip' | 'quarantine'
  readonly onDenied?: 'fail' | 'skip' | 'quarantine'
  readonly overwrite?: 'quarantine' | 'append'
  readonly rescue?: string
  readonly after?: 'keep' | 'tag' | 'delete' | { readonly moveTo: string }
  readonly afterDelay?: string
  readonly where?: string
  /** Further steps before the window. */
  readonly steps?: (head: SourceFlow) => SourceFlow
  /** Sessions instead of windows of a size. */
  readonly gap?: string
  /** Tumbling, or hopping with `every`. Default '1 hour'. */
  readonly size?: string
  readonly every?: string
  readonly keys?: readonly string[]
  /** Default: `{ n: count() }`. */
  readonly aggregates?: Readonly<Record<string, { readonly aggregate: string; readonly column?: string }>>
}

type SourceFlow = ReturnType<typeof sourceOf>

/** The source alone. Options are plain text here, so the types that guard them are left behind. */
export function sourceOf(lab: Pick<Lab, 'input'>, flow: WindowedFlow) {
  return source('in', {
    objects: lab.input,
    format: typeof flow.format === 'object' ? flow.format : flow.format === 'json' ? json() : parquet(),
    columns: flow.columns as { t: 'TIMESTAMP' },
    time: (flow.time ?? 't') as 't',
    ...(flow.delay === undefined
      ? {}
      : {
          watermark: {
            delay: flow.delay as '1 day',
            ...(flow.bounds ? { bounds: flow.bounds as string } : {}),
            ...(flow.mark ? { mark: flow.mark } : {}),
          },
        }),
    ...(flow.onBadRow ? { onBadRow: flow.onBadRow } : {}),
    ...(flow.onBadObject ? { onBadObject: flow.onBadObject } : {}),
    ...(flow.onDenied ? { onDenied: flow.onDenied } : {}),
    ...(flow.overwrite ? { overwrite: flow.overwrite } : {}),
    ...(flow.after ? { after: flow.after } : {}),
    ...(flow.afterDelay ? { afterDelay: flow.afterDelay as '1 day' } : {}),
    ...(flow.rescue ? ({ rescue: flow.rescue } as object) : {}),
  })
}

export function windowed(lab: Pick<Lab, 'input'>, at: Place, flow: WindowedFlow): Pipeline {
  const { gap, size = '1 hour', every, keys = [], aggregates = { n: count() } } = flow
  const head = sourceOf(lab, flow)
  const filtered = flow.where === undefined ? head : head.pipe(where(flow.where as string))
  const kept = flow.steps?.(filtered) ?? filtered
  return pipeline(
    'tested',
    { checkpoint: at.checkpoint },
    kept.pipe(
      gap !== undefined
        ? session(gap as '1 hour')
        : every === undefined
          ? tumbling(size as '1 hour')
          : hopping(size as '1 hour', every as '1 hour'),
      groupBy(...(keys as 't'[])),
      aggregate(aggregates as { n: ReturnType<typeof count> }),
      to(files(at.output, { format: flow.output ?? 'parquet', ...(flow.zone && { zone: flow.zone }) })),
    ),
  )
}

/** Two threads and little memory: tests run beside each other. */
export function run(pipelineOf: Pipeline, options: BackfillOptions = {}): Promise<Summary> {
  return backfill(pipelineOf, { threads: 2, memory: '500MB', ...options })
}

/** What a run that follows tells, drained at its first event of this kind. */
export async function followUntil(pipelineOf: Pipeline, is: RunEvent['is']): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = []
  const drain = new AbortController()
  await followWith(components, pipelineOf, {
    threads: 2,
    memory: '500MB',
    drain: drain.signal,
    onEvent: event => {
      events.push(event)
      if (event.is === is) drain.abort()
    },
  })
  return events
}

/** The MillraceError that the work ends in. */
export async function failure(work: Promise<unknown> | (() => unknown)): Promise<MillraceError> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (error instanceof MillraceError) return error
    throw error
  }
  throw new Error('expected a MillraceError, but nothing failed')
}

/**
 * Runs of a property; MILLRACE_RUNS searches longer. Shrinking stops before the test's own time is up, so that a
 * failure always shows its seed.
 */
export function runs(numRuns: number) {
  const asked = fc.readConfigureGlobal().numRuns
  return asked === undefined
    ? { numRuns, interruptAfterTimeLimit: 50_000, markInterruptAsFailure: false }
    : { numRuns: asked }
}
