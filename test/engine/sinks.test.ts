import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import type { Running } from '../../src/engine/report/running.ts'
import { verify } from '../../src/engine/verify.ts'
import {
  aggregate,
  type BackfillOptions,
  count,
  files,
  groupBy,
  inspect,
  parquet,
  type Pipeline,
  pipeline,
  query,
  source,
  sum,
  to,
  type ToOptions,
  tumbling,
  where,
} from '../../src/index.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { readTable, setAway, table, tableKind } from '../connectors/table/index.ts'
import { failure, type Lab, openLab, outputFiles, type TextRow } from './harness.ts'

let lab: Lab
let parts: Components
let target: string
beforeEach(async () => {
  lab = await openLab()
  target = join(lab.root, 'table')
  // All that a sink needs besides its folder.
  parts = { ...components, sinks: [...components.sinks, tableKind] }
})
afterEach(() => lab[Symbol.asyncDispose]())

/** One object an hour: rows of keys a and b. */
async function hours(end: number, from = 0): Promise<void> {
  for (let hour = from; hour < end; hour++)
    await lab.parquet(
      `${String(hour).padStart(2, '0')}.parquet`,
      `SELECT TIMESTAMP '2022-01-01 00:15:00' + INTERVAL (${hour}) HOUR AS t, k, ${hour * 10}::BIGINT + v AS v
       FROM (VALUES ('a', 1), ('b', 2)) AS x(k, v)`,
    )
}

/** Hours of each key go to the table, rows of key a to files. */
function twoSinks(
  options: ToOptions = {},
  at = target,
  more: { readonly after?: 'delete'; readonly onBadObject?: 'fail' } = {},
): Pipeline {
  const events = source('in', {
    objects: lab.input,
    format: parquet(),
    columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'BIGINT' },
    time: 't',
    watermark: { delay: '0s' },
    miniBatch: { every: '10ms', objectsMax: 1 },
    reconcile: '50ms',
    ...more,
  })
  return pipeline(
    'two-sinks',
    { checkpoint: lab.checkpoint },
    events.pipe(where("k = 'a'"), to(files(lab.output, { format: 'parquet' }))),
    events.pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count(), total: sum('v') }), to(table(at), options)),
  )
}

const run = (options: BackfillOptions = {}, of = twoSinks(), onEpoch: (epoch: number) => void = () => {}) =>
  backfillWith(parts, of, { threads: 2, memory: '500MB', objectsPerEpoch: 1, ...options }, ({ epoch }) =>
    onEpoch(epoch),
  )

/** What the table holds, and what it must hold, which DuckDB computes from the input by itself. */
const rowsIn = async (at = target): Promise<readonly string[]> =>
  ((await readTable(at)).state?.rows ?? []).map(
    ({ window_start, k, n, total }) => `${String(window_start)} ${String(k)} ${String(n)} ${String(total)}`,
  )
const expected = async (): Promise<readonly string[]> => {
  const found = await lab.sql(
    `SELECT date_trunc('hour', t) AS start, k, count(*) AS n, sum(v) AS total FROM read_parquet('${lab.input}/*.parquet') GROUP BY ALL ORDER BY start, k`,
  )
  return found.map(
    ({ start, k, n, total }: TextRow) => `${new Date(`${String(start)}Z`).toISOString()} ${k} ${n} ${total}`,
  )
}
const filesOfA = async () => (await lab.rows()).map(({ v }) => Number(v))

describe('a sink that a test has made: its folder and one line', () => {
  test('gets every row once, each epoch after the one before, over restarts', async () => {
    await hours(3)
    await run({ flush: false })
    await hours(6, 3)
    const { outputs, outputFiles: published } = await run()
    expect(await rowsIn()).toEqual(await expected())
    const { through, rows } = (await readTable(target)).state ?? { through: 0, rows: [] }
    const epochs = rows.map(({ epoch }) => epoch)
    expect(epochs).toEqual(epochs.toSorted((a, b) => a - b))
    expect(through).toBe(epochs.at(-1))
    expect(await filesOfA()).toEqual([1, 11, 21, 31, 41, 51])
    expect(outputs.map(address => address.replace(/^.*\//, ''))).toEqual(['a-out', 'table'])
    expect(published).toHaveLength(6)
    expect((await lab.head()).manifest).toMatchObject({ unpublished: [], garbage: [] })
  })

  test('is refused when it belongs to another checkpoint, and when it is newer than the checkpoint', async () => {
    await hours(2)
    await run()
    const other = pipeline('two-sinks', { checkpoint: join(lab.root, 'other') }, ...twoSinks().flows)
    const error = await failure(run({ output: { 'flow-1': join(lab.root, 'elsewhere') } }, other as Pipeline))
    expect(error).toMatchObject({ kind: 'user', code: 'output-owned' })
    const findings = await examine(parts, other as Pipeline, { output: { 'flow-1': join(lab.root, 'elsewhere') } })
    expect(findings).toContainEqual(
      expect.objectContaining({ check: 'output', is: 'problem', message: expect.stringContaining('belongs to') }),
    )
    rmSync(lab.checkpoint, { recursive: true })
    expect(await failure(run())).toMatchObject({ kind: 'user' })
  })

  test('a kind that is not listed is refused with those that are', async () => {
    await hours(1)
    const error = await failure(backfillWith(components, twoSinks(), {}))
    const calls = components.sinks.map(({ call }) => call)
    expect(calls.slice(0, 2)).toEqual(['files(...)', 'postgres({...})'])
    expect(error.message).toContain(`flow-2: sink: 'table' is not valid; expected ${calls.join(' or ')}`)
  })

  test('is moved by the name of its flow', async () => {
    await hours(2)
    const moved = join(lab.root, 'moved')
    await run({ output: { 'flow-2': moved } })
    expect(existsSync(target)).toBe(false)
    expect(await rowsIn(moved)).toEqual(await expected())
    expect((await failure(run({ output: moved }))).message).toContain('a pipeline with exactly one sink')
    expect((await failure(run({ output: { 'flow-3': moved } }))).message).toContain('flow-1, flow-2')
  })

  test('sql has the views of the other flows, and inspect its state', async () => {
    await hours(2)
    await run()
    const { rows } = await query(lab.checkpoint, 'SHOW TABLES')
    const names = rows.map(row => String(row.name))
    expect(names).toContain('output_flow_1')
    expect(names).not.toContain('output_flow_2')
    expect((await query(lab.checkpoint, 'SELECT v FROM output ORDER BY v')).rows).toEqual([{ v: 1n }, { v: 11n }])
    expect(await inspect(lab.checkpoint)).toMatchObject({ unpublished: 0, undelivered: [] })
  })

  test('verify replays it into files, leaves it alone and says that it was not compared', async () => {
    await hours(3)
    await run()
    const before = await readTable(target)
    expect(await verify(twoSinks(), { threads: 2 }, parts)).toMatchObject({
      differences: [],
      notCompared: ['flow-2'],
      rows: 3,
    })
    expect(await readTable(target)).toEqual(before)
  })
})

describe('a sink that is away', () => {
  const away = () => writeFileSync(join(target, 'away'), '')
  const back = () => rmSync(join(target, 'away'))

  test('holds back its own flow up to its bound, then commits; files are published on; when it is back it gets what it missed', async () => {
    await hours(8)
    const committed: number[] = []
    let troubles = 0
    let seenWhileAway: { committed: number; files: number } | undefined
    await run(
      {
        onEvent(event: RunEvent) {
          if (event.is !== 'trouble') return
          expect(event.what).toMatch(/^publishing epoch \d of flow-2$/)
          // By the third time the backfill has come as far as it may.
          if (++troubles < 3) return
          seenWhileAway = {
            committed: committed.length,
            files: readdirSync(lab.output).filter(n => n.startsWith('part-')).length,
          }
          back()
        },
      },
      twoSinks({ epochsBehindMax: 2 }),
      epoch => {
        committed.push(epoch)
        if (epoch === 2) away()
      },
    )
    // The table has epoch 2 or has not, when it goes away: then two more are committed, and none after them.
    expect([4, 5]).toContain(seenWhileAway?.committed)
    expect(seenWhileAway?.files).toBe(seenWhileAway?.committed)
    expect(await rowsIn()).toEqual(await expected())
    expect(await filesOfA()).toEqual([1, 11, 21, 31, 41, 51, 61, 71])
  })

  test('stops the intake of a run that follows its source, and its lag and retries are measured', async () => {
    await hours(6)
    const drain = new AbortController()
    let running: Running | undefined
    let epochs = 0
    let troubles = 0
    const lags: unknown[] = []
    await followWith(parts, twoSinks({ epochsBehindMax: 3 }), {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onRunning: given => (running = given),
      onEvent(event) {
        if (event.is === 'epoch') {
          epochs++
          if (epochs === 1) away()
          if (epochs === 6) drain.abort()
        }
        if (event.is === 'trouble' && ++troubles === 3)
          void running?.measure().then(({ sinks, epoch }) => {
            lags.push({ sinks, epoch })
            back()
          })
      },
    })
    const [found] = lags as {
      sinks: { flow: string; epochs: number; rows: number; retries: number }[]
      epoch: number
    }[]
    expect(found?.sinks[0]).toMatchObject({ flow: 'flow-1', epochs: 0, retries: 0 })
    expect(found?.sinks[1]).toMatchObject({ flow: 'flow-2', epochs: 3, retries: 3 })
    expect(found?.epoch).toBeLessThan(6)
    expect((await lab.head()).manifest.unpublished).toEqual([])
    const { through, rows } = (await readTable(target)).state ?? { through: 0, rows: [] }
    // The last hour is still open.
    expect(rows).toHaveLength(10)
    expect(through).toBe(6)
    expect(await outputFiles(lab.output)).toHaveLength(6)
  })

  test('keeps a drain from its end, which names the flow; the next run publishes what it missed', async () => {
    await hours(4)
    const drain = new AbortController()
    const drained = await failure(
      followWith(parts, twoSinks(), {
        threads: 2,
        memory: '500MB',
        drain: drain.signal,
        drainMs: 200,
        onEvent(event) {
          if (event.is === 'epoch') away()
          if (event.is === 'trouble') drain.abort()
        },
      }),
    )
    expect(drained).toMatchObject({
      code: 'drain-timeout',
      message: expect.stringMatching(
        /^flow-2 did not take all of its rows within 200 ms of the drain: \d epochs? waits?\. They stay/,
      ),
    })
    back()
    await run()
    expect(await rowsIn()).toEqual(await expected())
  })

  test('holds up the epoch in flight when it is full, and a drain that ends by that names the flow', async () => {
    await hours(4)
    const drain = new AbortController()
    let troubles = 0
    const drained = await failure(
      followWith(parts, twoSinks({ epochsBehindMax: 1 }), {
        threads: 2,
        memory: '500MB',
        drain: drain.signal,
        drainMs: 200,
        onEvent(event) {
          if (event.is === 'epoch') away()
          // By then the next epoch waits for the table.
          if (event.is === 'trouble' && ++troubles === 3) drain.abort()
        },
      }),
    )
    expect(drained).toMatchObject({
      code: 'drain-timeout',
      message:
        'The epoch in flight did not end within 200 ms of the drain, as it waits for flow-2 to take what was committed before it. Nothing of it was committed; the next start does it again.',
    })
  })

  test('does not keep a run from its end that fails by something else, though `after` waits for room', async () => {
    await hours(2)
    const fast = {
      ...components.clock,
      sleep: (ms: number, signal?: AbortSignal) => components.clock.sleep(ms / 100, signal),
    }
    const deleting = twoSinks({ epochsBehindMax: 1 }, target, { after: 'delete', onBadObject: 'fail' })
    let troubles = 0
    const failed = await failure(
      followWith({ ...parts, clock: fast }, deleting, {
        threads: 2,
        memory: '500MB',
        onEvent(event) {
          if (event.is === 'epoch') away()
          // By then `after` has looked several times and waits for the table.
          if (event.is === 'trouble' && ++troubles === 9) writeFileSync(join(lab.input, '99.parquet'), 'no Parquet')
        },
      }),
    )
    expect(failed.message).toContain('99.parquet')
    back()
    rmSync(join(lab.input, '99.parquet'))
    await run({}, deleting)
    expect((await readTable(target)).state?.rows).toHaveLength(4)
  })

  test('at the start ends it at once; later, what waits is in HEAD, and the next start publishes it', async () => {
    await hours(2)
    await run({ flush: false })
    await setAway(target, true)
    // Away at the start: it cannot be taken, so nothing is begun.
    expect(await failure(run())).toMatchObject({ kind: 'retry', code: 'simulated' })
    await setAway(target, false)
    await hours(6, 2)
    const stop = new AbortController()
    const stopped = await failure(
      run({ signal: stop.signal, onEvent: event => event.is === 'trouble' && stop.abort() }, twoSinks(), away),
    )
    expect(stopped).toMatchObject({ code: 'aborted' })
    const waiting = (await lab.head()).manifest.unpublished.filter(({ output }) => output === 'flow-2')
    expect(waiting[0]).toMatchObject({ operation: 'append', receipt: null, at: 'checkpoint' })
    await setAway(target, false)
    await run()
    expect(await rowsIn()).toEqual(await expected())
    expect((await lab.head()).manifest.unpublished).toEqual([])
  })
})
