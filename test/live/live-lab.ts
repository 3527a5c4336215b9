/** A bucket that fills, a daemon that follows it, and an independent computation of what it must write. */
import { randomUUID } from 'node:crypto'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type StorageClass,
} from '@aws-sdk/client-s3'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { makeMonths } from '../../src/cli/demo/make-months.ts'
import { inspect } from '../../src/engine/inspect/inspect.ts'
import { query } from '../../src/engine/inspect/query.ts'
import { oracle, type OracleObject } from '../oracle/oracle.ts'
import { S3_CREDENTIALS } from '../servers/minio.ts'

const root = resolve(import.meta.dirname, '../..')
const nodeBinary = join(root, 'node_modules/.bin/node')
const pipelines = join(import.meta.dirname, 'pipelines')
const dayUs = 86_400_000_000n
const hourUs = 3_600_000_000n

/** An object that landed. */
export interface Landed {
  readonly key: string
  readonly eTag: string
  readonly size: number
  readonly versionId?: string
}

export interface LiveLab extends AsyncDisposable {
  readonly s3: S3Client
  readonly bucket: string
  /** The daemon's environment; `more` adds to it. */
  env(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv
  readonly addresses: { readonly objects: string; readonly checkpoint: string; readonly output: string }
  /** Puts a local file into the bucket, under `input/`. */
  put(key: string, file: string, storageClass?: StorageClass): Promise<Landed>
  /** What lies there under the key now. */
  landed(key: string): Promise<Landed>
  /** Months as files in a local folder, each cut into objects of so many rows. */
  cutMonths(
    months: number,
    rowsPerMonth: number,
    rowsPerObject: number,
  ): Promise<readonly { key: string; file: string }[]>
  /** Starts the daemon. */
  start(more: Readonly<Record<string, string>>, args?: readonly string[]): Daemon
  /** Resolves when the ledger holds so many objects; tells what the daemon said when it ends before. */
  counted(objects: number, daemon: Daemon): Promise<void>
  /** The number of objects in the ledger; 0 before there is one. */
  objects(): Promise<number>
  /** Keys of the objects that were read, in ledger order, each once or more. */
  ledgerKeys(): Promise<readonly string[]>
  /** Published rows as text, sorted; the same of another folder. */
  rows(): Promise<readonly string[]>
  rowsOf(folder: string): Promise<readonly string[]>
  /** What the ledger's objects must give, row by row (S2, S3, S8), from the files they were made from. */
  expected(): Promise<{ readonly rows: readonly string[]; readonly late: number }>
  late(): Promise<number>
  /** What a backfill of the daemon's ledger writes, as text. */
  replayed(): Promise<readonly string[]>
}

export interface Daemon {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>
  said(): string
  /** Resolves when it has said so. */
  says(text: string): Promise<void>
  kill(signal: NodeJS.Signals): void
}

/** @param pipeline the file of it, which most share */
export async function openLiveLab(endpoint: string, name: string, pipeline = 'trips.ts'): Promise<LiveLab> {
  const pipelineFile = join(pipelines, pipeline)
  const folder = await mkdtemp(join(tmpdir(), `millrace-live-`))
  const bucket = `${name}-${randomUUID().slice(0, 8)}`
  const s3 = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: S3_CREDENTIALS })
  await s3.send(new CreateBucketCommand({ Bucket: bucket }))
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const db = await instance.connect()
  const at = (path: string) => `s3://${bucket}/${path}/?endpoint=${endpoint}&region=us-east-1`
  const addresses = { objects: at('input'), checkpoint: at('checkpoint'), output: at('output') }
  const files = new Map<string, string>()
  const daemons = new Set<Daemon>()
  // The SDK's own default chain, as a user's process has it.
  process.env.AWS_ACCESS_KEY_ID = S3_CREDENTIALS.accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = S3_CREDENTIALS.secretAccessKey

  const rowsOf = async (from: string): Promise<readonly string[]> => {
    const parts = (await readdir(from)).filter(file => file.endsWith('.parquet')).map(file => join(from, file))
    if (parts.length === 0) return []
    return texts(
      db,
      `SELECT epoch_us(window_start), epoch_us(window_end), PULocationID, trips, (revenue * 100)::BIGINT, miles, farthest FROM read_parquet([${parts.map(quoted).join(', ')}])`,
    )
  }

  const lab: LiveLab = {
    s3,
    bucket,
    addresses,
    env: more => {
      const { NODE_OPTIONS: _, ...clean } = process.env
      return {
        ...clean,
        TRIPS_OBJECTS: addresses.objects,
        TRIPS_CHECKPOINT: addresses.checkpoint,
        TRIPS_OUTPUT: addresses.output,
        ...more,
      }
    },
    async put(key, file, storageClass) {
      const body = await readFile(file)
      const put = await s3.send(
        new PutObjectCommand({ Bucket: bucket, Key: `input/${key}`, Body: body, StorageClass: storageClass }),
      )
      files.set(key, file)
      const { VersionId } = put
      const eTag = (put.ETag ?? '').replaceAll('"', '')
      return { key, eTag, size: body.length, ...(VersionId === undefined ? {} : { versionId: VersionId }) }
    },
    async landed(key) {
      const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: `input/${key}` }))
      return { key, eTag: (head.ETag ?? '').replaceAll('"', ''), size: head.ContentLength ?? 0 }
    },
    async cutMonths(months, rowsPerMonth, rowsPerObject) {
      const made = join(folder, 'months')
      await makeMonths({ dir: made, months, rowsPerMonth })
      const cut: { key: string; file: string }[] = []
      for (const month of (await readdir(made)).filter(file => file.endsWith('.parquet')).toSorted()) {
        const whole = join(made, month)
        const [counted] = await texts(db, `SELECT count(*) FROM read_parquet(${quoted(whole)})`).catch(() => [])
        // The file that no reader accepts.
        if (counted === undefined) continue
        for (let start = 0, n = 0; start < Number(counted); start += rowsPerObject, n++) {
          const file = join(made, `${month}-${n}`)
          await db.run(
            `COPY (SELECT * EXCLUDE (file_row_number) FROM read_parquet(${quoted(whole)}, file_row_number = true) WHERE file_row_number >= ${start} AND file_row_number < ${start + rowsPerObject} ORDER BY file_row_number) TO ${quoted(file)} (FORMAT parquet)`,
          )
          cut.push({ key: `${month.replace('.parquet', '')}/part ${String(n).padStart(4, '0')}+é.parquet`, file })
        }
      }
      return cut
    },
    start(more, args = []) {
      const child = spawn(
        nodeBinary,
        [
          join(root, 'src/cli/bin.ts'),
          'run',
          pipelineFile,
          '--threads',
          '1',
          '--memory',
          '500MB',
          '--http',
          '127.0.0.1:0',
          ...args,
        ],
        { env: lab.env(more), stdio: ['ignore', 'ignore', 'pipe'] },
      )
      let said = ''
      child.stderr?.setEncoding('utf8').on('data', text => (said += text))
      const daemon: Daemon = {
        child,
        ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stderr: said })),
        said: () => said,
        async says(text) {
          while (!said.includes(text)) {
            if (child.exitCode !== null)
              throw new Error(`the daemon ended without saying ${text}:\n${said.slice(-3000)}`)
            await setTimeout(20)
          }
        },
        kill: signal => void child.kill(signal),
      }
      daemons.add(daemon)
      return daemon
    },
    async counted(objects, daemon) {
      let isEnded = false
      void daemon.ended.then(() => (isEnded = true))
      while ((await lab.objects()) < objects) {
        if (isEnded) throw new Error(`the daemon ended:\n${daemon.said().slice(-3000)}`)
        await setTimeout(100)
      }
    },
    async objects() {
      try {
        return (await inspect(addresses.checkpoint)).totals.objects
      } catch (error) {
        if (/holds none/.test(String(error))) return 0
        throw error
      }
    },
    async ledgerKeys() {
      const { rows } = await query(addresses.checkpoint, `SELECT key FROM ledger WHERE outcome = 'read' ORDER BY seq`)
      return rows.map(row => String(row.key))
    },
    async late() {
      return (await inspect(addresses.checkpoint)).totals.late
    },
    rowsOf,
    async rows() {
      const here = await mkdtemp(join(folder, 'output-'))
      for (let token: string | undefined, n = 0; ; ) {
        const page = await s3.send(
          new ListObjectsV2Command({ Bucket: bucket, Prefix: 'output/part-', ContinuationToken: token }),
        )
        for (const { Key } of page.Contents ?? []) {
          const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key }))
          const bytes = await got.Body?.transformToByteArray()
          await writeFile(join(here, `${n++}.parquet`), bytes ?? '')
        }
        token = page.NextContinuationToken
        if (token === undefined) break
      }
      return rowsOf(here)
    },
    async expected() {
      const ledger: OracleObject[] = []
      for (const key of await lab.ledgerKeys()) {
        const [, year, month] = /(\d{4})-(\d{2})/.exec(key) ?? []
        const reader = await db.runAndReadAll(
          `SELECT epoch_us(lpep_pickup_datetime), PULocationID::BIGINT, round(total_amount * 100)::BIGINT FROM read_parquet(${quoted(files.get(key) ?? key)})`,
        )
        const [t, zone, cents] = reader.getColumns() as [bigint[], bigint[], bigint[]]
        ledger.push({
          bounds: [
            BigInt(Date.UTC(Number(year), Number(month) - 1)) * 1000n,
            BigInt(Date.UTC(Number(year), Number(month))) * 1000n,
          ],
          rows: t.map((time, row) => ({ t: time, key: [zone[row] ?? null], values: [cents[row] ?? null] })),
        })
      }
      const { final, late } = oracle({
        ledger,
        windows: { sizeUs: hourUs, everyUs: hourUs },
        delayUs: dayUs,
        flush: false,
      })
      return {
        late: late.length,
        rows: final
          .map(({ windowStart, windowEnd, key, count, values }) =>
            [windowStart, windowEnd, key[0], count, values[0]?.sum].join(' '),
          )
          .toSorted(),
      }
    },
    async replayed() {
      const again = await mkdtemp(join(folder, 'replay-'))
      const places = ['--checkpoint', join(again, 'checkpoint'), '--output', join(again, 'output')]
      const args = ['backfill', pipelineFile, '--ledger', addresses.checkpoint, ...places, '--objects-per-epoch', '7']
      await promisify(execFile)(process.execPath, [join(root, 'src/cli/bin.ts'), ...args], { env: lab.env({}) })
      return rowsOf(join(again, 'output'))
    },
    async [Symbol.asyncDispose]() {
      for (const { child } of daemons) child.kill('SIGKILL')
      await Promise.all([...daemons].map(({ ended }) => ended))
      s3.destroy()
      db.closeSync()
      instance.closeSync()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return lab
}

async function texts(db: DuckDBConnection, sql: string): Promise<readonly string[]> {
  const reader = await db.runAndReadAll(`SELECT COLUMNS(*)::VARCHAR FROM (${sql})`)
  return reader
    .getRows()
    .map(row => row.map(String).join(' '))
    .toSorted()
}

const quoted = (value: string) => `'${value.replaceAll("'", "''")}'`

/** An S3 event as AWS sends it, for an object that landed. */
export function s3Event(bucket: string, { key, eTag, size }: Landed, eventName = 'ObjectCreated:Put'): object {
  const encoded = encodeURIComponent(`input/${key}`).replaceAll('%2F', '/').replaceAll('%20', '+')
  return {
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        awsRegion: 'us-east-1',
        eventTime: '2024-01-01T00:00:00.000Z',
        eventName,
        s3: { s3SchemaVersion: '1.0', bucket: { name: bucket }, object: { key: encoded, size, eTag, sequencer: '00' } },
      },
    ],
  }
}
