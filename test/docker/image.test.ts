import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeMonths } from '../../src/cli/demo/make-months.ts'
import { inspect } from '../../src/index.ts'
import { root, runMillrace } from '../cli/child.ts'
import { type Compose, type ComposeTools, composeForTests, makeCompose } from './compose.ts'
import { type Docker, dockerForTests } from './docker.ts'
import { buildImage, image } from './image.ts'

const minutes = 60_000
const found = await dockerForTests()
const tools = found && (await composeForTests(found))

/** As the image says, or as the one who runs the tests: root of a user's own machine may not be who owns the files. */
const user = process.getuid?.() === 0 ? '65532:65532' : `${process.getuid?.()}:${process.getgid?.()}`

/** That of docker/compose.yaml. */
const environment = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'millrace-local',
  AWS_SECRET_ACCESS_KEY: 'millrace-local',
}

interface Run {
  readonly user?: string
  readonly entrypoint?: readonly string[]
  /** Host folder by the container's; with ':ro' at the end it is read-only. */
  readonly mounts?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  readonly tmpfs?: readonly string[]
  readonly isReadOnly?: boolean
  readonly memoryBytes?: number
  readonly network?: string
}

describe.skipIf(!found)('the image', () => {
  const docker = found as Docker
  let folder: string

  beforeAll(async () => {
    // The container's user reads and writes here.
    folder = await mkdtemp(join(tmpdir(), 'millrace-image-'))
    await chmod(folder, 0o755)
    await makeMonths({ dir: join(folder, 'months'), months: 4, rowsPerMonth: 2_000 })
    await mkdir(join(folder, 'pipelines'))
    await writeFile(join(folder, 'pipelines', 'pipeline.ts'), pipelineFile)
    await writeFile(join(folder, 'outside.ts'), pipelineFile.replace(/.*(rxjs|tap\().*\n/g, ''))
    const never = "console.log('loading'); await new Promise(resolve => setTimeout(resolve, 1e9))"
    await writeFile(join(folder, 'pipelines', 'never.ts'), never)
    await buildImage(docker)
  }, 8 * minutes)

  afterAll(() => rm(folder, { recursive: true, force: true }))

  const settings = (args: readonly string[], options: Run) => ({
    Image: image,
    Cmd: [...args],
    User: options.user ?? user,
    Labels: { 'org.testcontainers': 'true' },
    ...(options.entrypoint && { Entrypoint: [...options.entrypoint] }),
    Env: Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
    HostConfig: {
      Binds: Object.entries(options.mounts ?? {}).map(([inside, outside]) => `${outside}:${inside}`),
      Tmpfs: Object.fromEntries((options.tmpfs ?? []).map(path => [path, 'mode=1777'])),
      CapDrop: ['ALL'],
      ReadonlyRootfs: options.isReadOnly ?? false,
      ...(options.network !== undefined && { NetworkMode: options.network }),
      ...(options.memoryBytes && { Memory: options.memoryBytes }),
    },
  })

  /** `docker run --rm`. */
  async function run(args: readonly string[], options: Run = {}) {
    const container = await docker.createContainer(settings(args, options))
    try {
      await container.start()
      const { StatusCode: code } = (await container.wait()) as { readonly StatusCode: number }
      return { code, ...(await outputOf(container)) }
    } finally {
      await container.remove({ force: true, v: true })
    }
  }

  async function done(args: readonly string[], options: Run = {}): Promise<string> {
    const { code, stdout, stderr } = await run(args, options)
    expect(code, stderr).toBe(0)
    return stdout
  }

  const node = (script: string, options: Run = {}) => done(['-e', script], { ...options, entrypoint: ['node'] })

  test('says its version, whoever runs it, with nothing to write to but the scratch volume', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    expect(await done(['--version'], { isReadOnly: true, user: '4242:4242' })).toBe(`${version}\n`)
    expect(
      await node('fs.writeFileSync(os.tmpdir() + "/x", "y"); console.log(os.tmpdir())', { isReadOnly: true }),
    ).toBe('/scratch\n')
  })

  test('holds what runs and nothing else: no sources, no compiler, no types, DuckDB of one platform', async () => {
    const listed = JSON.parse(
      await node('console.log(JSON.stringify(fs.readdirSync("/opt/millrace", { recursive: true })))'),
    ) as string[]
    expect(listed.filter(path => !path.includes('/')).toSorted()).toEqual(
      ['LICENSE', 'dist', 'docker', 'node_modules', 'package.json'].toSorted(),
    )
    expect(listed.filter(path => /\.([cm]?ts|map)$/.test(path) && !path.startsWith('docker/'))).toEqual([])
    // The clients of sinks, which a project installs itself.
    expect(listed).toEqual(
      expect.arrayContaining(['node_modules/pg/package.json', 'node_modules/pg-copy-streams/package.json']),
    )
    expect(listed.filter(path => /^node_modules\/(typescript|vitest|testcontainers|node)$/.test(path))).toEqual([])
    expect(listed.filter(path => path.endsWith('/libduckdb.so'))).toHaveLength(1)
    const { Config, Size, RootFS } = await docker.getImage(image).inspect()
    expect(Config).toMatchObject({ User: '65532:65532', Volumes: { '/scratch': {} }, WorkingDir: '/work' })
    const base = await docker
      .getImage('millrace-test-base:latest')
      .inspect()
      .catch(() => undefined)
    const own = base ? Size - base.Size : Size
    console.log(`the image: ${mb(Size)} in ${RootFS.Layers?.length} layers; ${mb(own)} on its base`)
    if (base) expect(own).toBeLessThan(120_000_000)
  })

  test('runs the demo', async () => {
    const stdout = await done(['demo', '--months', '2', '--rows', '2000'])
    expect(stdout).toContain('revenue-by-zone: done')
    expect(stdout).toContain('East Harlem North')
  })

  test('takes 60 percent of what the container may have, not of the machine', async () => {
    const memoryBytes = 512 * 1024 * 1024
    const place = await makePlace()
    await done(['backfill', '/pipelines/pipeline.ts', '--json'], { mounts: mounts(place) })
    const sql = "SELECT current_setting('memory_limit') AS memory"
    const row = JSON.parse(
      await done(['sql', '/data/checkpoint', sql, '--json'], { mounts: mounts(place), memoryBytes }),
    ) as { memory: string }
    // 60 percent, cut to whole megabytes, as DuckDB shows it.
    expect(row.memory).toBe('307.0 MiB')
  })

  test('backfills a mounted folder with a read-only root and another user than root; same rows as without it', async () => {
    const place = await makePlace()
    const options = { mounts: mounts(place), isReadOnly: true, tmpfs: ['/scratch'] }
    const summary = JSON.parse(await done(['backfill', '/pipelines/pipeline.ts', '--json'], options))
    expect(summary).toMatchObject({ objects: 5, quarantined: 1, rows: 8_000 })

    const outside = ['input', 'output', 'checkpoint'].flatMap(name => [
      `--${name}`,
      name === 'input' ? join(folder, 'months') : join(place, `outside-${name}`),
    ])
    const args = ['backfill', join(folder, 'outside.ts'), ...outside, '--json']
    const reference = await runMillrace(args)
    expect(reference.code, reference.stderr).toBe(0)
    const { rows, late, epochs, openWindows } = JSON.parse(reference.stdout)
    expect(summary).toMatchObject({ rows, late, epochs, openWindows })
    expect(await contents(join(place, 'output'))).toEqual(await contents(join(place, 'outside-output')))
  })

  describe('with the daemon', () => {
    let place: string
    let scratch: string
    const containers: Container[] = []

    beforeEach(async () => {
      place = await makePlace()
      await mkdir(join(place, 'input'))
      scratch = join(place, 'scratch')
      await mkdir(scratch)
      await chmod(scratch, 0o777)
    })

    afterEach(async () => {
      for (const container of containers.splice(0)) await container.remove({ force: true, v: true })
    })

    async function start(args: readonly string[] = ['run', '/pipelines/pipeline.ts']) {
      const options = { mounts: { ...mounts(place), '/data/input': join(place, 'input'), '/scratch': scratch } }
      const container = await docker.createContainer(settings(args, { ...options, isReadOnly: true }))
      containers.push(container)
      await container.start()
      const logs = async () => Object.values(await outputOf(container)).join('')
      return {
        container,
        logs,
        until: (isSo: () => Promise<boolean>) => untilRunning(container, isSo),
        /** `docker stop`, and the exit code: 137 when the grace was too short. */
        async stop() {
          await container.stop({ t: 30 })
          return (await container.inspect()).State.ExitCode
        },
      }
    }

    /** A file lands whole: written aside, then renamed. */
    async function drop(month: number) {
      const name = `green_tripdata_2022-0${month}.parquet`
      await copyFile(join(folder, 'months', name), join(place, 'aside'))
      await chmod(join(place, 'aside'), 0o644)
      await rename(join(place, 'aside'), join(place, 'input', name))
    }

    const counted = (objects: number) => async () => {
      const seen = await inspect(join(place, 'checkpoint')).catch(() => undefined)
      return seen?.totals.objects === objects
    }

    const verify = () =>
      done(['verify', '/pipelines/pipeline.ts'], {
        mounts: { ...mounts(place), '/data/input': join(place, 'input') },
      })

    test(
      'files that are dropped in come out; it becomes healthy; `docker stop` drains and ends with 0',
      async () => {
        const daemon = await start()
        await drop(1)
        await daemon.until(counted(1))
        await drop(2)
        await daemon.until(counted(2))
        await daemon.until(async () => (await daemon.container.inspect()).State.Health?.Status === 'healthy')
        const { State } = await daemon.container.inspect()
        expect(State.Health?.Log.at(-1)?.Output).toMatch(/^200 /)
        expect(await daemon.stop(), await daemon.logs()).toBe(0)
        expect(await inspect(join(place, 'checkpoint'))).toMatchObject({ released: true, totals: { objects: 2 } })
        expect((await contents(join(place, 'output'))).length).toBeGreaterThan(0)
        expect(await readdir(scratch)).toEqual([])
        await verify()
      },
      2 * minutes,
    )

    test(
      'killed and started again it goes on, counts nothing twice and cleans up (I5)',
      async () => {
        const daemon = await start()
        await drop(1)
        await daemon.until(counted(1))
        await drop(2)
        await daemon.container.kill({ signal: 'SIGKILL' })
        await daemon.container.wait()
        expect(await readdir(scratch)).toHaveLength(1)
        await drop(3)
        await daemon.container.start()
        await daemon.until(counted(3))
        for (const month of [4, 5]) await drop(month)
        await daemon.until(counted(5))
        expect(await daemon.stop(), await daemon.logs()).toBe(0)
        expect(await inspect(join(place, 'checkpoint'))).toMatchObject({
          totals: { objects: 5, quarantined: 1, rows: 8_000 },
        })
        expect(await readdir(scratch)).toEqual([])
        await verify()
      },
      2 * minutes,
    )

    test('`docker stop` ends at once what does not listen to signals yet: process 1 has no default action', async () => {
      const daemon = await start(['run', '/pipelines/never.ts'])
      await daemon.until(async () => (await daemon.logs()).includes('loading'))
      expect(await daemon.stop()).toBe(143)
    })
  })

  describe.skipIf(!tools)('with docker/compose.yaml', () => {
    let compose: Compose

    beforeAll(async () => {
      compose = await makeCompose(tools as ComposeTools, folder)
    })

    afterAll(() => compose.do('down', '--volumes'), minutes)

    test(
      'a daemon behind Kafka and one behind SQS count what lands; same rows as backfill --ledger',
      async () => {
        await compose.do('up', '--detach', '--no-build')
        Object.assign(process.env, environment)
        const endpoint = `http://${await compose.published('minio', 9000)}`
        const seen = (checkpoint: string) => inspect(`${checkpoint}?endpoint=${endpoint}`).catch(() => undefined)

        const daemons = [
          { service: 'millrace', checkpoint: 's3://taxi/checkpoint/', env: { KAFKA_BROKERS: 'kafka:9092' } },
          {
            service: 'millrace-sqs',
            checkpoint: 's3://taxi/checkpoint-sqs/',
            env: { QUEUE_URL: 'http://elasticmq:9324/000000000000/landed' },
          },
        ]
        for (const { service, checkpoint } of daemons) {
          const container = docker.getContainer(await compose.containerOf(service))
          await untilRunning(container, async () => ((await seen(checkpoint))?.totals.objects ?? 0) >= 3)
        }
        const status = `http://${await compose.published('millrace', 9464)}`
        expect(await (await fetch(`${status}/healthz`)).json()).toMatchObject({ isReady: true })
        expect(await (await fetch(`${status}/metrics`)).text()).toContain('\nmillrace_ready 1\n')

        await compose.do('stop', ...daemons.map(({ service }) => service))
        for (const { service, checkpoint, env } of daemons) {
          const container = docker.getContainer(await compose.containerOf(service))
          const logs = Object.values(await outputOf(container)).join('')
          expect(await container.inspect(), logs).toMatchObject({ RestartCount: 0, State: { ExitCode: 0 } })
          const { released, totals } = (await seen(checkpoint)) ?? {}
          expect({ released, quarantined: totals?.quarantined }).toEqual({ released: true, quarantined: 0 })
          // The second may find what landed before it had started; the rest was announced.
          const found = [...logs.matchAll(/"event":"listed".*"found":(\d+)/g)].map(([, objects]) => Number(objects))
          expect(
            found.reduce((sum, objects) => sum + objects, 0),
            logs,
          ).toBeLessThan(totals?.objects ?? 0)

          const options = {
            network: compose.network,
            mounts: { '/compose': join(root, 'docker', 'compose'), '/data': await makePlace() },
            env: { ...environment, ...env, AWS_ENDPOINT_URL_S3: 'http://minio:9000' },
          }
          const copy = ['--checkpoint', '/data/checkpoint', '--output', '/data/output']
          await done(['backfill', '/compose/pipeline.ts', '--ledger', checkpoint, ...copy], options)
          const sql = 'SELECT * FROM output ORDER BY ALL'
          const expected = await done(['sql', '/data/checkpoint', sql, '--json'], options)
          expect(expected.split('\n').length).toBeGreaterThan(1_000)
          expect(await done(['sql', checkpoint, sql, '--json'], options)).toBe(expected)
        }
      },
      5 * minutes,
    )
  })

  /** A fresh data folder that the container's user may write to. */
  async function makePlace(): Promise<string> {
    const place = await mkdtemp(join(folder, 'data-'))
    await chmod(place, 0o777)
    return place
  }

  const mounts = (place: string) => ({
    '/data': place,
    '/data/input': join(folder, 'months'),
    '/pipelines': join(folder, 'pipelines'),
  })
})

/** Waits until it is so, or until the container has ended. */
async function untilRunning(container: Container, isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) {
    const { State } = await container.inspect()
    if (!State.Running) {
      const { stdout, stderr } = await outputOf(container)
      throw new Error(`It ended with ${State.ExitCode}: ${stdout}${stderr}`)
    }
    await setTimeout(250)
  }
}

type Container = Awaited<ReturnType<Docker['createContainer']>>

/** What it wrote so far. Docker sends frames: the stream's number, three zeros, the length, the bytes. */
async function outputOf(container: Container): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const frames = await container.logs({ stdout: true, stderr: true })
  const streams: [Buffer[], Buffer[]] = [[], []]
  for (let at = 0; at < frames.length; ) {
    const end = at + 8 + frames.readUInt32BE(at + 4)
    streams[frames[at] === 2 ? 1 : 0].push(frames.subarray(at + 8, end))
    at = end
  }
  const [stdout, stderr] = streams.map(parts => Buffer.concat(parts).toString()) as [string, string]
  return { stdout, stderr }
}

const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`

/** The bytes of the result files, whatever their names. */
async function contents(output: string): Promise<string[]> {
  const names = (await readdir(output, { recursive: true })).filter(name => name.endsWith('.parquet'))
  return (await Promise.all(names.map(name => readFile(join(output, name), 'base64')))).toSorted()
}

// Beside no package: `millrace` and `rxjs` are the image's own.
const pipelineFile = `
import { aggregate, count, files, groupBy, parquet, pipeline, source, sum, to, tumbling, where } from 'millrace'
import { tap } from 'rxjs'

const trips = source('trips', {
  objects: '/data/input/',
  format: parquet(),
  columns: { lpep_pickup_datetime: 'TIMESTAMP NOT NULL', PULocationID: 'BIGINT', total_amount: 'DECIMAL(18,2)' },
  time: 'lpep_pickup_datetime',
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
  reconcile: '200ms',
  miniBatch: { every: '50ms' },
})

export default pipeline('revenue-by-zone', { checkpoint: '/data/checkpoint/' },
  trips.pipe(
    where('total_amount > 0'),
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    tap(() => {}),
    to(files('/data/output/', { format: 'parquet' })),
  ),
)
`
