import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// The package as its users meet it: packed by npm, installed into an empty project, run by npx.

const exec = promisify(execFile)
const root = join(import.meta.dirname, '..', '..')
const minutes = 60_000

let folder: string
let tarball: string

/** A user's shell: this Node first, nothing of the npm script and the vitest that run this test. */
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_OPTIONS|NODE_ENV)/.test(name)),
  ),
  PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
  NO_COLOR: '1',
}

async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  const { stdout } = await exec(command, args, { cwd, env, maxBuffer: 64 * 1024 * 1024 })
  return stdout
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-package-'))
  const packed = await run(root, 'npm', 'pack', '--silent', '--pack-destination', folder)
  tarball = join(folder, packed.trim().split('\n').at(-1) as string)
  await makeInput(join(folder, 'input'))
}, 5 * minutes)

afterAll(() => rm(folder, { recursive: true, force: true }))

test('the tarball holds the build and the papers, no sources, no tests; its bin is executable', async () => {
  const lines = (await run(folder, 'tar', '-tvzf', tarball)).trim().split('\n')
  const files = lines.map(line => line.slice(line.indexOf('package/') + 'package/'.length))
  expect(files).toEqual(
    expect.arrayContaining(['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'docs/README.md']),
  )
  expect(files).toEqual(expect.arrayContaining(['dist/src/index.js', 'dist/src/index.d.ts']))
  expect(
    files.filter(
      file => !/^(dist\/.+\.(js|d\.ts|css)|docs\/.+\.(md|svg|schema\.json)|package\.json|[A-Z]+(\.md)?)$/.test(file),
    ),
  ).toEqual([])
  expect(files.filter(file => file.startsWith('dist/test'))).toEqual([])
  // Each module that a start has to find costs it.
  expect(files.filter(file => file.endsWith('.js') && !file.includes('/browser/')).length).toBeLessThan(120)
  expect(lines.find(line => line.endsWith('package/dist/src/cli/bin.js'))).toMatch(/^-rwxr-xr-x/)
})

describe.each([
  { type: 'commonjs', manifest: { type: 'commonjs' }, why: 'as npm init -y makes it' },
  { type: 'module', manifest: { type: 'module' }, why: 'an ESM project' },
  { type: 'no', manifest: {}, why: 'a bare package.json' },
])('in a project of $type type ($why)', ({ type, manifest }) => {
  let project: string

  beforeAll(async () => {
    project = join(folder, `project-${type}`)
    await mkdir(project)
    await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'user', version: '1.0.0', ...manifest }))
    await writeFile(join(project, 'pipeline.ts'), pipelineFile)
    await run(project, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', tarball)
  }, 5 * minutes)

  test('npx millrace --version prints the version of the package', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    expect((await run(project, 'npx', 'millrace', '--version')).trim()).toContain(version)
  })

  test('npx millrace backfill runs a pipeline.ts, and a second run adds nothing (I5)', async () => {
    const args = ['--input', join(folder, 'input'), '--output', 'output', '--checkpoint', 'checkpoint', '--json']
    const backfill = () => run(project, 'npx', 'millrace', 'backfill', 'pipeline.ts', ...args)
    const first = readSummary(await backfill())
    // The row at 00:59 of the second object is late: the first one's mark 01:10, less a minute, has closed its hour.
    expect(first).toMatchObject({ rows: 5, late: 1, objects: 2, quarantined: 0 })
    expect(first.epochs).toBeGreaterThan(0)
    expect(first.seconds).toBeGreaterThan(0)
    expect(first.outputFiles.length).toBeGreaterThan(0)
    const rows = await readOutput(project, first.outputFiles)
    expect(rows).toEqual(['2022-01-01 00:00:00 1 2 15.5', '2022-01-01 01:00:00 2 1 7.25', '2022-01-01 02:00:00 2 1 3'])

    const second = readSummary(await backfill())
    expect({ ...second, seconds: 0 }).toMatchObject({ ...first, nothingToDo: true, seconds: 0 })
  })

  test('a sink whose client is not installed says the line that installs it', async () => {
    const sink = "to(postgres({ url: 'postgres://localhost/none', table: 'revenue' }))"
    const other = pipelineFile.replace(/to\(files\(.*\)\)/, sink).replace('files,', 'postgres,')
    await writeFile(join(project, 'other.ts'), other)
    const args = ['--input', join(folder, 'input'), '--checkpoint', 'other-checkpoint']
    await expect(run(project, 'npx', 'millrace', 'backfill', 'other.ts', ...args)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('npm install pg pg-copy-streams'),
    })
  })

  test('a mistake is told where the user has made it, and not in a file of the package', async () => {
    const lines = pipelineFile.replaceAll("tumbling('1 hour')", "tumbling('1 hower')").split('\n')
    await writeFile(join(project, 'hower.ts'), lines.join('\n'))
    const line = lines.findIndex(each => each.includes('hower')) + 1
    await expect(run(project, 'npx', 'millrace', 'explain', 'hower.ts')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`hower.ts:${line}:`),
    })
  })

  test('a run serves its page, whose parts lie in the package', async () => {
    const bin = join(project, 'node_modules', 'millrace', 'dist', 'src', 'cli', 'bin.js')
    const places = ['--input', join(folder, 'input'), '--output', 'out-run', '--checkpoint', 'checkpoint-run']
    const args = [bin, 'run', 'pipeline.ts', ...places, '--http', '127.0.0.1:0', '--log', 'json']
    const daemon = spawn(process.execPath, args, { cwd: project, env, stdio: ['ignore', 'ignore', 'pipe'] })
    const ended = once(daemon, 'close')
    let address: string | undefined
    let said = ''
    for await (const text of daemon.stderr.setEncoding('utf8')) {
      said += String(text)
      address ??= /"event":"listening".*"address":"([^"]+)"/.exec(said)?.[1]
      if (address === undefined || !said.includes('"event":"epoch"') || daemon.killed) continue
      const page = await fetch(address, { headers: { accept: 'text/html' } })
      expect(await page.text()).toMatch(/^<!doctype html>.*<style>.+<\/style>.*<script type="module">.+<\/script>/s)
      daemon.kill('SIGTERM')
    }
    expect(await ended, said).toEqual([0, null])
  })

  // A compiler takes longest of all here, and reads types by the same rules in each.
  if (type === 'commonjs')
    test('the declarations check the pipeline in a compiler of the user', async () => {
      const options = ['--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext']
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
      await run(project, process.execPath, tsc, ...options, 'pipeline.ts')
      await writeFile(join(project, 'mistake.ts'), pipelineFile.replaceAll("groupBy('zone')", "groupBy('zonne')"))
      await expect(run(project, process.execPath, tsc, ...options, 'mistake.ts')).rejects.toMatchObject({
        stdout: expect.stringContaining('zonne'),
      })
    })
})

const pipelineFile = `
import { aggregate, count, files, groupBy, parquet, pipeline, source, sum, to, tumbling } from 'millrace'

const trips = source('trips', {
  objects: './input',
  format: parquet(),
  columns: { picked_up: 'TIMESTAMP NOT NULL', zone: 'BIGINT', amount: 'DOUBLE' },
  time: 'picked_up',
  watermark: { delay: '1 minute' },
})

export default pipeline('revenue', { checkpoint: './checkpoint' },
  trips.pipe(
    tumbling('1 hour'),
    groupBy('zone'),
    aggregate({ trips: count(), revenue: sum('amount') }),
    to(files('./output', { format: 'parquet' })),
  ))
`

interface SummaryLine {
  readonly rows: number
  readonly late: number
  readonly objects: number
  readonly quarantined: number
  readonly epochs: number
  readonly outputFiles: readonly string[]
  readonly seconds: number
}

/** Exactly one line of JSON: progress and all else goes to stderr. */
function readSummary(stdout: string): SummaryLine {
  expect(stdout.endsWith('\n')).toBe(true)
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  return JSON.parse(stdout) as SummaryLine
}

async function makeInput(input: string): Promise<void> {
  await mkdir(input)
  const objects = {
    'trips-1': ["('2022-01-01 00:10', 1, 10.5)", "('2022-01-01 00:50', 1, 5)", "('2022-01-01 01:10', 2, 7.25)"],
    'trips-2': ["('2022-01-01 00:59', 1, 100)", "('2022-01-01 02:00', 2, 3)"],
  }
  await query(async connection => {
    for (const [name, rows] of Object.entries(objects))
      await connection.run(
        `COPY (SELECT a::TIMESTAMP AS picked_up, b::BIGINT AS zone, c::DOUBLE AS amount FROM (VALUES ${rows.join()}) AS r(a, b, c))
         TO '${join(input, `${name}.parquet`)}' (FORMAT parquet)`,
      )
  })
}

async function readOutput(project: string, files: readonly string[]): Promise<string[]> {
  const list = files.map(file => `'${join(file.startsWith('/') ? '' : project, file)}'`).join()
  return query(async connection => {
    const reader = await connection.runAndReadAll(
      `SELECT concat_ws(' ', window_start, zone, trips, revenue::DECIMAL(9, 2)::DOUBLE) AS line
       FROM read_parquet([${list}]) ORDER BY window_start, zone`,
    )
    // DuckDB writes whole doubles as 3.0.
    return reader.getRows().map(([line]) => String(line).replace(/\.0$/, ''))
  })
}

async function query<T>(use: (connection: Awaited<ReturnType<DuckDBInstance['connect']>>) => Promise<T>): Promise<T> {
  const instance = await DuckDBInstance.create(':memory:')
  try {
    const connection = await instance.connect()
    try {
      return await use(connection)
    } finally {
      connection.closeSync()
    }
  } finally {
    instance.closeSync()
  }
}
