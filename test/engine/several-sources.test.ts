/** Several sources of one pipeline: one ledger, one commit, each source with its own columns, marks and policies. */
import { randomUUID } from 'node:crypto'
import { cp, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import { carefulAfter, withAttempt } from '../../src/engine/intake/attempt.ts'
import { inspect } from '../../src/engine/inspect/inspect.ts'
import { initialState } from '../../src/engine/state/engine-state.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  MillraceError,
  type Pipeline,
  parquet,
  pipeline,
  retry,
  select,
  source,
  sum,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { failure, type Lab, openLab, outputHashes, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const at = (name: string) => join(lab.root, name)

/** Trips by month, in Parquet; the month is in the key. */
const trips = (objects = at('trips')) =>
  source('trips', {
    objects,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT' },
    time: 'at',
    watermark: { delay: '1 day', bounds: 'trips_{yyyy}-{MM}' },
  })
/** Payments by day, in JSON. */
const payments = (objects = at('payments')) =>
  source('payments', {
    objects,
    format: json(),
    columns: { paid: 'TIMESTAMP NOT NULL', amount: 'BIGINT' },
    time: 'paid',
    watermark: { delay: '1 hour', bounds: 'pay_{yyyy}-{MM}-{dd}' },
    onBadRow: 'quarantine',
  })
type Trips = ReturnType<typeof trips>
type Payments = ReturnType<typeof payments>

const byZone = (of: Trips, out: string) =>
  of.pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count() }), to(files(out, { format: 'json' })))
const byDay = (of: Payments, out: string) =>
  of.pipe(tumbling('1 day'), groupBy(), aggregate({ total: sum('amount') }), to(files(out, { format: 'json' })))

const both = (name = 'both', of: { trips?: Trips; payments?: Payments } = {}): Pipeline =>
  pipeline(
    name,
    { checkpoint: at(`${name}-ck`) },
    byZone(of.trips ?? trips(), at(`${name}-trips`)),
    byDay(of.payments ?? payments(), at(`${name}-payments`)),
  )

async function writeTrips(month: string): Promise<void> {
  await mkdir(at('trips'), { recursive: true })
  const file = `trips_${month}.parquet`
  const made = await lab.parquet(
    file,
    `SELECT TIMESTAMP '${month}-01' + i * INTERVAL 5 HOUR AS at, i % 3 AS zone FROM range(150) AS r(i)`,
  )
  await cp(made, join(at('trips'), file))
  await rm(made)
}

async function writePayments(day: string, more: readonly string[] = []): Promise<void> {
  await mkdir(at('payments'), { recursive: true })
  const lines = [0, 6, 12, 18].map(hour =>
    JSON.stringify({ paid: `${day} ${String(hour).padStart(2, '0')}:30:00`, amount: hour + Number(day.slice(-2)) }),
  )
  await writeFile(join(at('payments'), `pay_${day}.jsonl`), [...lines, ...more].map(line => `${line}\n`).join(''))
}

const sourcesOf = async (checkpoint: string) =>
  (await lab.channel('ledger', { output: '', checkpoint })).map(row => [row.source, row.key])

describe('two sources of one pipeline', () => {
  beforeEach(async () => {
    for (const month of ['2022-01', '2022-02']) await writeTrips(month)
    for (const day of ['2022-01-01', '2022-01-15', '2022-02-01', '2022-02-03']) await writePayments(day)
  })

  test('are read by their periods, then by name, and each flow has what it has alone', async () => {
    const summary = await run(both(), { objectsPerEpoch: 2 })
    expect(summary.totals).toMatchObject({ objects: 6, rows: 2 * 150 + 4 * 4 })
    expect(await sourcesOf(at('both-ck'))).toEqual([
      // Where two begin together their keys decide.
      ['payments', 'pay_2022-01-01.jsonl'],
      ['trips', 'trips_2022-01.parquet'],
      ['payments', 'pay_2022-01-15.jsonl'],
      ['payments', 'pay_2022-02-01.jsonl'],
      ['trips', 'trips_2022-02.parquet'],
      ['payments', 'pay_2022-02-03.jsonl'],
      [null, null],
    ])
    await run(pipeline('t', { checkpoint: at('t-ck') }, byZone(trips(), at('t-out'))), { objectsPerEpoch: 1 })
    await run(pipeline('p', { checkpoint: at('p-ck') }, byDay(payments(), at('p-out'))), { objectsPerEpoch: 1 })
    const rows = async (output: string) =>
      (await lab.rows({ output, checkpoint: '' })).map(row => JSON.stringify(row)).toSorted()
    expect(await rows(at('both-trips'))).toEqual(await rows(at('t-out')))
    expect(await rows(at('both-payments'))).toEqual(await rows(at('p-out')))
    expect((await rows(at('both-payments'))).length).toBe(4)
  })

  test('go on from where each was, and verify finds that nothing differs', async () => {
    await run(both())
    await writeTrips('2022-03')
    await writePayments('2022-03-01', ['{"paid": "soon", "amount": 1}'])
    const summary = await run(both(), { objectsPerEpoch: 1 })
    expect(summary.run).toMatchObject({ objects: 2, quarantinedRows: 1 })
    expect(await verify(both())).toMatchObject({ differences: [], gone: [], changed: [] })
    const found = await inspect(at('both-ck'))
    expect(Object.keys(found.watermarks).toSorted()).toEqual(['payments', 'trips'])
    expect((await run(both())).nothingToDo).toBe(true)
  })

  test('the answer is the same in every cut, bytes of equal cuts included', async () => {
    await run(both('one'), { objectsPerEpoch: 1 })
    await run(both('other'), { objectsPerEpoch: 1 })
    expect(await outputHashes(at('one-trips'))).toEqual(await outputHashes(at('other-trips')))
    expect(await outputHashes(at('one-payments'))).toEqual(await outputHashes(at('other-payments')))
    const rows = async (of: string) =>
      (await lab.rows({ output: at(of), checkpoint: '' })).map(row => JSON.stringify(row)).toSorted()
    for (const objectsPerEpoch of [2, 3, 6]) {
      const name = `cut${objectsPerEpoch}`
      await run(both(name), { objectsPerEpoch })
      expect(await rows(`${name}-trips`)).toEqual(await rows('one-trips'))
      expect(await rows(`${name}-payments`)).toEqual(await rows('one-payments'))
    }
  })

  test('may lie elsewhere in a run, each by its name', async () => {
    await cp(at('payments'), at('moved'), { recursive: true })
    await rm(join(at('moved'), 'pay_2022-02-03.jsonl'))
    const summary = await run(both(), { input: { payments: at('moved') } })
    expect(summary.totals.objects).toBe(5)
    expect(await failure(run(both('b'), { input: at('moved') }))).toMatchObject({ kind: 'user', code: 'configuration' })
    const unknown = await failure(run(both('b'), { input: { payment: at('moved') } }))
    expect(unknown.message).toContain("the name of a source: trips, payments (did you mean 'payments'?)")
  })

  test('--from and --to choose of each by its periods', async () => {
    const summary = await run(both(), { from: '2022-02-01', to: '2022-02-02' })
    expect((await sourcesOf(at('both-ck'))).slice(0, 2)).toEqual([
      ['payments', 'pay_2022-02-01.jsonl'],
      ['trips', 'trips_2022-02.parquet'],
    ])
    expect(summary.run).toMatchObject({ objects: 2, leftOut: 4 })
  })

  test('a final flush closes the windows of all', async () => {
    await run(both(), { final: true })
    expect(await failure(run(both()))).toMatchObject({ code: 'sealed' })
  })

  test('a run that follows reads what lies there of both', async () => {
    const live = both('live')
    await followWith(components, live, { threads: 2, memory: '500MB', untilIdle: true })
    expect((await lab.head({ output: '', checkpoint: at('live-ck') })).manifest.engine.totals).toMatchObject({
      objects: 6,
    })
    // A later backfill has nothing to read, and closes what is open.
    await run(live)
    const rows = await lab.rows({ output: at('live-payments'), checkpoint: '' })
    expect(new Set(rows.map(({ total }) => total))).toEqual(
      new Set(
        ['2022-01-01', '2022-01-15', '2022-02-01', '2022-02-03'].map(day => String(36 + 4 * Number(day.slice(-2)))),
      ),
    )
  })
})

describe('two sources over one place', () => {
  const lines = ['{"t": "2022-01-01", "v": 1}', '{"t": "2022-01-01", "v": 2}']
  const of = (name: string, columns: Readonly<Record<string, string>>) =>
    source(name, { objects: at('shared'), format: json(), columns, time: 't', watermark: { delay: '0s' } } as never)
  const shared = () =>
    pipeline(
      'shared',
      { checkpoint: at('shared-ck') },
      of('all', { t: 'TIMESTAMP', v: 'BIGINT' }).pipe(select('v' as never), to(files(at('all'), { format: 'json' }))),
      of('strict', { t: 'TIMESTAMP', v: 'BIGINT', w: 'BIGINT NOT NULL DEFAULT 7' }).pipe(
        where('v > 1'),
        select('w' as never),
        to(files(at('strict'), { format: 'json' })),
      ),
    )

  test('each counts every object once (law 3)', async () => {
    await mkdir(at('shared'))
    await writeFile(join(at('shared'), '1.jsonl'), `${lines.join('\n')}\n`)
    expect((await run(shared())).totals.objects).toBe(2)
    expect((await run(shared())).nothingToDo).toBe(true)
    await writeFile(join(at('shared'), '2.jsonl'), `${lines.join('\n')}\n`)
    await run(shared(), { objectsPerEpoch: 1 })
    const values = async (output: string, name: string) =>
      (await lab.rows({ output: at(output), checkpoint: '' })).map(row => row[name])
    expect(await values('all', 'v')).toEqual(['1', '2', '1', '2'])
    expect(await values('strict', 'w')).toEqual(['7', '7'])
    expect(await verify(shared())).toMatchObject({ differences: [] })
  })

  test.each(['backfill', 'live'] as const)(
    'what one has counted is new to the other, which comes later: %s',
    async kind => {
      await mkdir(at('shared'))
      await mkdir(at('nothing'))
      await writeFile(join(at('shared'), '1.jsonl'), `${lines.join('\n')}\n`)
      expect((await run(shared(), { input: { strict: at('nothing') } })).totals.objects).toBe(1)
      if (kind === 'backfill') await run(shared())
      else await followWith(components, shared(), { threads: 2, memory: '500MB', untilIdle: true })
      const ledger = (await lab.channel('ledger', { output: '', checkpoint: at('shared-ck') })).filter(
        row => row.is === 'object',
      )
      expect(ledger.map(row => [row.source, row.key, row.outcome])).toEqual([
        ['all', '1.jsonl', 'read'],
        ['strict', '1.jsonl', 'read'],
      ])
      expect((await lab.rows({ output: at('strict'), checkpoint: '' })).map(({ w }) => w)).toEqual(['7'])
    },
  )

  test('an object of which a process died in one is read in the other (P13)', async () => {
    await mkdir(at('shared'))
    const file = join(at('shared'), '1.jsonl')
    await writeFile(file, `${lines.join('\n')}\n`)
    const { size, mtimeNs } = await stat(file, { bigint: true })
    const checkpoint = createCheckpointStore({
      store: await components.openWritable(at('shared-ck'), 'checkpoint'),
      owner: 'elsewhere/1/1',
      newId: randomUUID,
      scratch: lab.root,
      merge: () => Promise.reject(new Error('nothing to merge')),
    })
    const { manifest } = await checkpoint.claim(initialState({ pipeline: 'shared', nodes: [], flows: {} }))
    const alone = { source: 'strict', bucket: '', key: '1.jsonl', eTag: `${size}-${mtimeNs}` }
    await checkpoint.commit(withAttempt(manifest, { epoch: 1, deaths: carefulAfter + 1, objects: 1, left: 1, alone }))
    expect((await run(shared(), { takeover: true })).totals).toMatchObject({ objects: 2, suspect: 1, rows: 2 })
    expect((await lab.rows({ output: at('all'), checkpoint: '' })).map(({ v }) => v)).toEqual(['1', '2'])
    expect((await run(shared())).totals).toMatchObject({ objects: 2, suspect: 0, rows: 4 })
  })

  test('retry reads again what one has set aside, and nothing of the other', async () => {
    await mkdir(at('shared'))
    await writeFile(join(at('shared'), '1.jsonl'), `${lines.join('\n')}\n`)
    const dated = source('dated', {
      objects: at('shared'),
      format: json(),
      columns: { t: 'TIMESTAMP', day: 'DATE FROM KEY' },
      time: 't',
      onBadObject: 'quarantine',
    })
    const flows = () =>
      pipeline(
        'shared',
        { checkpoint: at('shared-ck') },
        of('all', { t: 'TIMESTAMP', v: 'BIGINT' }).pipe(select('v' as never), to(files(at('all'), { format: 'json' }))),
        dated.pipe(select('day'), to(files(at('dated'), { format: 'json' }))),
      )
    expect((await run(flows())).totals).toMatchObject({ objects: 2, quarantined: 1 })
    expect((await retry(at('shared-ck'))).objects.map(({ key, seq }) => [key, seq])).toEqual([['1.jsonl', 2]])
    expect((await run(flows())).run).toMatchObject({ objects: 1, rows: 0 })
    expect((await lab.rows({ output: at('all'), checkpoint: '' })).map(({ v }) => v)).toEqual(['1', '2'])
  })
})

describe('told to leave history alone (--no-catch-up)', () => {
  test('no source is read because another one began before the first start failed', async () => {
    for (const month of ['2022-01', '2022-02']) await writeTrips(month)
    await writePayments('2022-01-01')
    let failures = 1
    const committed = new AbortController()
    /** Payments cannot be listed at first, while trips can. */
    const parts: Components = {
      ...components,
      async openInput(address, field, links) {
        const store = await components.openInput(address, field, links)
        if (!address.endsWith('payments')) return store
        return {
          ...store,
          async *list(prefix, after, signal, onLink) {
            if (failures-- > 0) {
              await components.clock.sleep(3_000, committed.signal)
              throw new MillraceError('retry', 'store', 'slow down')
            }
            yield* store.list(prefix, after, signal, onLink)
          },
        }
      },
    }
    const events: string[] = []
    const summary = await followWith(parts, both('live'), {
      threads: 2,
      memory: '500MB',
      untilIdle: true,
      catchUp: false,
      onEvent({ is }) {
        events.push(is)
        if (is === 'epoch') committed.abort()
      },
    })
    expect(events).toContain('restarting')
    expect(summary.totals).toMatchObject({ objects: 3, skipped: 3, rows: 0 })
    // What comes later is read.
    await writePayments('2022-01-15')
    await followWith(parts, both('live'), { threads: 2, memory: '500MB', untilIdle: true, catchUp: false })
    const { totals } = (await lab.head({ output: '', checkpoint: at('live-ck') })).manifest.engine
    expect(totals).toMatchObject({ objects: 4, skipped: 3, rows: 4 })
  })
})

test.each([{ after: 'delete' }, { after: { moveTo: 'done' } }])(
  'no source may take away what another one still has to read: %j',
  async ({ after }) => {
    await mkdir(at('shared'))
    await writeFile(join(at('shared'), '1.jsonl'), '{"t": "2022-01-01", "v": 1}\n')
    const columns = { t: 'TIMESTAMP', v: 'BIGINT' } as const
    const moveTo = typeof after === 'string' ? after : { moveTo: at(after.moveTo) }
    const greedy = source('greedy', {
      objects: at('shared'),
      format: json(),
      columns,
      time: 't',
      after: moveTo,
    } as never)
    const all = source('all', { objects: at('shared'), format: json(), columns, time: 't' })
    const error = await failure(
      run(
        pipeline(
          'shared',
          { checkpoint: at('shared-ck') },
          all.pipe(select('v'), to(files(at('all'), { format: 'json' }))),
          greedy.pipe(select('v' as never), to(files(at('greedy'), { format: 'json' }))),
        ),
      ),
    )
    expect(error.message).toContain('source greedy: after')
    expect(error.message).toContain('the place of source all')
    // What ends otherwise is of one of them only.
    const tables = source('tables', { objects: at('shared'), format: parquet(), columns, time: 't' })
    const apart = pipeline(
      'apart',
      { checkpoint: at('apart-ck') },
      tables.pipe(select('v'), to(files(at('tables'), { format: 'json' }))),
      greedy.pipe(select('v' as never), to(files(at('greedy'), { format: 'json' }))),
    )
    expect((await run(apart)).totals).toMatchObject({ objects: 1, rows: 1 })
    await expect(lab.head({ output: '', checkpoint: at('shared-ck') })).rejects.toThrow('holds no checkpoint')
  },
)
