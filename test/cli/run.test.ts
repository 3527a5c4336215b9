import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Lab, openLab } from '../engine/harness.ts'
import { type Child, root, runMillrace, startNode } from './child.ts'

let lab: Lab
let file: string
beforeEach(async () => {
  lab = await openLab()
  await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01 00:15:00' AS t, 1 AS k`)
  file = join(lab.root, 'pipeline.ts')
  await writeFile(
    file,
    `import { aggregate, count, files, groupBy, parquet, pipeline, source, to, tumbling } from 'millrace'
export default pipeline('watched', { checkpoint: ${JSON.stringify(lab.checkpoint)} },
  source('in', { objects: ${JSON.stringify(lab.input)}, format: parquet(), columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT' },
    time: 't', watermark: { delay: '1 hour' }, reconcile: '20ms', miniBatch: { every: '10ms' } })
  .pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(${JSON.stringify(lab.output)}, { format: 'parquet' }))))
`,
  )
})
afterEach(() => lab[Symbol.asyncDispose]())

const start = (...args: readonly string[]): Child =>
  startNode([`${root}src/cli/bin.ts`, 'run', file, '--threads', '2', '--memory', '500MB', ...args])

const logged = (stderr: string) =>
  stderr
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as { event: string; level: string; address?: string; message: string })

describe('millrace run', () => {
  test('logs JSON off a terminal, serves health and metrics, and closes all of it at SIGTERM', async () => {
    const child = start('--http', '127.0.0.1:0', '--json')
    await child.says('"event":"epoch"')
    const address = logged(child.output().stderr).find(({ event }) => event === 'listening')?.address ?? ''
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const ready = await fetch(`${address}/readyz`)
    expect([ready.status, await ready.json()]).toEqual([200, { state: 'running', isLive: true, isReady: true }])
    expect((await fetch(`${address}/healthz`)).status).toBe(200)
    const metrics = await fetch(`${address}/metrics`)
    expect(metrics.headers.get('content-type')).toContain('version=0.0.4')
    const text = await metrics.text()
    expect(text).toContain('millrace_objects_total{outcome="read"} 1\n')
    expect(text).toContain('millrace_state_rows{state="aggregate-1"} 1\n'.replace('aggregate-1', stateName(text)))
    const page = await (await fetch(address)).json()
    expect(page).toMatchObject({
      pipeline: 'watched',
      state: 'running',
      totals: { objects: 1, rows: 1 },
      sources: [{ watermark: '2021-12-31T23:15:00.000Z' }],
      states: [{ rows: 1, openWindows: 1 }],
    })
    child.kill('SIGTERM')
    const { code, stdout, stderr } = await child.ended
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ objects: 1, openWindows: 1 })
    const events = logged(stderr).map(({ event }) => event)
    expect(events.slice(0, 2)).toEqual(['listening', 'started'])
    expect(events.slice(-3)).toEqual(['signal', 'draining', 'stopped'])
    await expect(fetch(address)).rejects.toThrow('fetch failed')
  })

  test('--until-idle commits what is there, ends with 0, and serves nothing unless it is told to', async () => {
    const { code, stdout, stderr } = await start('--until-idle', '--json').ended
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ objects: 1, rows: 1, drained: false, nothingToDo: false })
    const events = logged(stderr).map(({ event }) => event)
    expect(events).not.toContain('listening')
    expect(events.slice(-3)).toEqual(['epoch', 'idle', 'stopped'])
    const again = await start('--until-idle', '--json', '--http', '127.0.0.1:0').ended
    expect([again.code, JSON.parse(again.stdout)]).toMatchObject([0, { objects: 1, nothingToDo: true }])
    expect(logged(again.stderr).map(({ event }) => event)).toEqual(['listening', 'started', 'idle', 'stopped'])
  })

  test('a standby is live and not ready; it takes over when the owner ends', async () => {
    const owner = start('--no-http')
    await owner.says('"event":"epoch"')
    const standby = start('--http', '127.0.0.1:0')
    await standby.says('"event":"standing-by"')
    const address = logged(standby.output().stderr).find(({ event }) => event === 'listening')?.address ?? ''
    expect((await fetch(`${address}/healthz`)).status).toBe(200)
    const ready = await fetch(`${address}/readyz`)
    expect([ready.status, await ready.json()]).toMatchObject([503, { state: 'standby', isReady: false }])
    expect(await (await fetch(`${address}/metrics`)).text()).toContain('millrace_standby 1\n')
    owner.kill('SIGTERM')
    expect((await owner.ended).code).toBe(0)
    await standby.says('"event":"started"')
    expect((await fetch(`${address}/readyz`)).status).toBe(200)
    standby.kill('SIGTERM')
    expect((await standby.ended).code).toBe(0)
  })

  test('a failure is the last line of the log, and the exit code tells its kind', async () => {
    await lab.parquet('b.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'x' AS k`)
    const bad = await start('--no-http').ended
    const last = logged(bad.stderr).at(-1)
    expect([bad.code, last?.level, last?.event]).toEqual([1, 'fatal', 'bad-row'])
  })

  test('a port in use exits 2 before anything is claimed', async () => {
    const other = createServer()
    await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const { code, stderr } = await start('--http', `127.0.0.1:${port}`).ended
    await new Promise(resolve => other.close(resolve))
    expect(code).toBe(2)
    expect(stderr).toContain(`millrace: --http: cannot listen at 127.0.0.1:${port}: another process listens there.`)
  })

  test.each([
    [['--http', '9464'], "--http: '9464' is not valid; expected HOST:PORT"],
    [['--http', '127.0.0.1:70000'], "--http: '127.0.0.1:70000' is not valid"],
    [['--http', '127.0.0.1:0', '--no-http'], '--http and --no-http exclude each other'],
    [['--log', 'xml'], "--log: 'xml' is not valid; expected 'json' or 'pretty'"],
    [['--log-level', 'loud'], "--log-level: 'loud' is not valid; expected 'trace' or 'debug'"],
  ])('%j exits 2', async (args, message) => {
    const { code, stderr } = await runMillrace(['run', file, ...args])
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})

/** The state's name as the metrics have it. */
const stateName = (text: string) => /millrace_state_rows\{state="([^"]+)"\}/.exec(text)?.[1] ?? ''
