import { join } from 'node:path'
import { concatMap, filter, map, of, take } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  count,
  derive,
  files,
  groupBy,
  max,
  parquet,
  pipeline,
  select,
  source,
  to,
  tumbling,
  where,
} from '../../src/index.ts'
import { failure, type Lab, openLab, outputFiles, outputHashes, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  // Hours 0, 2, 1 (late by then), 3: two rows each, of keys a and b.
  for (const [index, hour] of [0, 2, 1, 3].entries())
    await lab.parquet(
      `${index}.parquet`,
      `SELECT TIMESTAMP '2022-01-01 00:15:00.000001' + INTERVAL (${hour}) HOUR AS t, k, v::BIGINT AS v, d::DECIMAL(18,2) AS d FROM (VALUES ('a', ${hour}, 0.10), ('b', NULL, 1.05)) AS x(k, v, d)`,
    )
})
afterEach(() => lab[Symbol.asyncDispose]())

const trips = (name = 'in') =>
  source(name, {
    objects: lab.input,
    format: parquet(),
    columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'BIGINT', d: 'DECIMAL(18,2)' },
    time: 't',
    watermark: { delay: '0s' },
  })
const out = (name: string) => join(lab.root, name)
const parquetTo = (name: string) => files(out(name), { format: 'parquet' })
const at = (name: string) => ({ output: out(name), checkpoint: lab.checkpoint })
const each = { objectsPerEpoch: 1 }

async function segments(): Promise<string[]> {
  return Object.keys((await lab.head()).manifest.channels).filter(name => name.startsWith('segment-'))
}

describe('several flows from one source', () => {
  test('each has what it would have alone; equal plans share one state and count their late rows once', async () => {
    const head = trips()
    const base = head.pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count(), top: max('v') }))
    const flows = [
      base.pipe(to(parquetTo('all'))),
      base.pipe(where("k = 'a'"), select('window_start', 'top'), to(parquetTo('a'))),
      head.pipe(
        where('v IS NULL'),
        derive({ cents: ['BIGINT', 'd * 100'] }),
        select('t', 'cents'),
        to(parquetTo('plain')),
      ),
      head.pipe(where("k = 'b'"), tumbling('2 hours'), groupBy(), aggregate({ n: count() }), to(parquetTo('two'))),
    ]
    const summary = await run(pipeline('several', { checkpoint: lab.checkpoint }, ...flows), { ...each, flush: false })
    expect(await segments()).toHaveLength(2)
    // Hour 1 after 2:15: both rows are late for one-hour windows (W 02:15), b's also for [0, 2).
    expect(summary.totals).toMatchObject({ rows: 8, objects: 4, late: 3 })
    await run(pipeline('several', { checkpoint: lab.checkpoint }, ...flows))

    const short = (row: { readonly window_start?: string | null }) => row.window_start?.slice(11, 13)
    expect((await lab.rows(at('all'))).map(row => [short(row), row.k, row.n, row.top])).toEqual([
      ['00', 'a', '1', '0'],
      ['00', 'b', '1', null],
      ['02', 'a', '1', '2'],
      ['02', 'b', '1', null],
      ['03', 'a', '1', '3'],
      ['03', 'b', '1', null],
    ])
    expect(await lab.rows(at('a'))).toEqual(
      ['00', '02', '03'].map((hour, index) => ({
        window_start: `2022-01-01 ${hour}:00:00`,
        top: ['0', '2', '3'][index],
      })),
    )
    // Without state nothing is late: every row passes, in ledger order (S18).
    expect(await lab.rows(at('plain'))).toEqual(
      ['00', '02', '01', '03'].map(hour => ({ t: `2022-01-01 ${hour}:15:00.000001`, cents: '105' })),
    )
    expect((await lab.rows(at('two'))).map(row => [short(row), row.n])).toEqual([
      ['00', '1'],
      ['02', '2'],
    ])

    // Alone, into another checkpoint: the same bytes for the same cut.
    for (const [index, name] of ['all', 'a', 'plain', 'two'].entries()) {
      const alone = pipeline('alone', { checkpoint: out(`alone-${name}`) }, flows[index] as (typeof flows)[number])
      await run(alone, { ...each, flush: false, output: out(`${name}-alone`) })
      await run(alone, { output: out(`${name}-alone`) })
      const hashes = async (folder: string) => Object.values(await outputHashes(out(folder)))
      expect(await hashes(`${name}-alone`), name).toEqual(await hashes(name))
    }
  })

  test('a bad row that one flow would never see stops them all (S17)', async () => {
    await lab.parquet('4.parquet', `SELECT TIMESTAMP '2022-01-02' AS t, 'z' AS k, 0.5::DOUBLE AS v, 0 AS d`)
    const head = trips()
    const flows = [
      head.pipe(where("k = 'a'"), to(parquetTo('a'))),
      head.pipe(tumbling('1 hour'), groupBy(), aggregate({ n: count() }), to(parquetTo('n'))),
    ]
    const error = await failure(run(pipeline('two', { checkpoint: lab.checkpoint }, ...flows)))
    expect(error.message).toContain("object '4.parquet', row 0, column 'v': expected BIGINT, found '0.5'")
    expect([...(await outputFiles(out('a'))), ...(await outputFiles(out('n')))]).toEqual([])
  })

  test('one output address for several sinks is refused', async () => {
    const flows = [trips().pipe(to(parquetTo('x'))), trips().pipe(to(parquetTo('y')))]
    const head = trips()
    const shared = [head.pipe(to(parquetTo('x'))), head.pipe(to(parquetTo('y')))]
    expect(
      await failure(run(pipeline('p', { checkpoint: lab.checkpoint }, ...shared), { output: out('z') })),
    ).toMatchObject({ kind: 'user' })
    // Two calls of source() are two sources, and those have names of their own.
    expect(await failure(run(pipeline('p', { checkpoint: lab.checkpoint }, ...flows)))).toMatchObject({
      kind: 'user',
      code: 'source-names',
    })
  })
})

describe('a flow without state', () => {
  test.each(['parquet', 'json'] as const)(
    'where -> to writes %s in ledger order, one file an epoch that has rows (S14, S18)',
    async format => {
      const flow = trips().pipe(where('v > 0'), select('v'), to(files(lab.output, { format })))
      const summary = await run(pipeline('plain', { checkpoint: lab.checkpoint }, flow), each)
      expect((await lab.rows()).map(({ v }) => v)).toEqual(['2', '1', '3'])
      expect(await outputFiles(lab.output)).toHaveLength(3)
      expect(summary).toMatchObject({ openWindows: 0, totals: { rows: 8, late: 0, epochs: 4 } })
      expect(await run(pipeline('plain', { checkpoint: lab.checkpoint }, flow), each)).toMatchObject({
        nothingToDo: true,
      })
    },
  )

  test('all in one epoch are in ledger order too, objects and rows of each (S14, S18)', async () => {
    for (const [index, from] of [9_000, 1_000, 5_000].entries())
      await lab.parquet(
        `${index + 4}.parquet`,
        `SELECT TIMESTAMP '2022-01-02' AS t, 'c' AS k, ${from} - i AS v, 0::DECIMAL(18,2) AS d FROM range(1000) AS r(i)`,
      )
    const flow = trips().pipe(where("k = 'c'"), select('v'), to(parquetTo('x')))
    await run(pipeline('plain', { checkpoint: lab.checkpoint }, flow))
    expect((await lab.rows(at('x'))).map(({ v }) => Number(v))).toEqual(
      [9_000, 1_000, 5_000].flatMap(from => Array.from({ length: 1_000 }, (_, index) => from - index)),
    )
    expect(await outputFiles(out('x'))).toHaveLength(1)
  })
})

describe('what this release refuses, before anything is claimed', () => {
  const refused = async (flow: Parameters<typeof pipeline>[2]) => {
    const error = await failure(() => run(pipeline('refused', { checkpoint: lab.checkpoint }, flow)))
    await expect(lab.head()).rejects.toThrow('holds no checkpoint')
    expect(error.kind).toBe('user')
    return error
  }

  test('take(1), which would end a flow', async () => {
    expect(await refused(trips().pipe(take(1), to(parquetTo('x'))))).toMatchObject({ code: 'flow-ended' })
  })

  test('a filter that drops the first mini-batch', async () => {
    const flow = trips().pipe(
      filter(({ epoch }) => epoch > 0),
      to(parquetTo('x')),
    )
    const error = await refused(flow)
    expect(error).toMatchObject({ code: 'flow-end' })
    expect(error.message).toContain(
      'flow-1 of pipeline refused: reached 0 ends in epoch 0; expected exactly one: add to(...), rows() or batches() at the end.',
    )
  })

  test('a map that passes on something else', async () => {
    const flow = trips().pipe(
      map(() => 7 as never),
      where('v > 0' as string),
      to(parquetTo('x')),
    )
    expect((await refused(flow)).message).toMatch(
      /^where: expected a mini-batch from the operator before it, got number/,
    )
  })

  test('a flow without an end', async () => {
    expect(await refused(trips().pipe(where('v > 0')))).toMatchObject({ code: 'flow-end' })
  })

  test('a window without its aggregate', async () => {
    expect((await refused(trips().pipe(tumbling('1 hour'), to(parquetTo('x') as never) as never))).message).toMatch(
      /^to: cannot follow tumbling/,
    )
  })

  test('an event time that was replaced before the window', async () => {
    const replaced = trips().pipe(
      derive({ t: ['TIMESTAMP', 't'] }),
      tumbling('1 hour'),
      groupBy(),
      aggregate({ n: count() }),
      to(parquetTo('x')),
    )
    expect((await refused(replaced)).message).toMatch(/event time column 't' was replaced/)
  })

  test("a user's own error in an RxJS operator is the run's error, as it is", async () => {
    const flow = trips().pipe(
      map(batch => {
        if (batch.epoch === 0) throw new Error('my own mistake')
        return batch
      }),
      to(parquetTo('x')),
    )
    await expect(run(pipeline('mine', { checkpoint: lab.checkpoint }, flow))).rejects.toThrow('my own mistake')
    await expect(lab.head()).rejects.toThrow('holds no checkpoint')
  })
})

describe('an RxJS operator that goes wrong in a later epoch', () => {
  const wrong = (epochOf: (batch: { readonly epoch: number }) => boolean) =>
    trips().pipe(
      filter(batch => epochOf(batch)),
      select('k'),
      to(parquetTo('x')),
    )

  test('a filter that drops epoch 2 stops the run there: epoch 1 stays, nothing of 2 shows, and a repaired one continues', async () => {
    const error = await failure(
      run(
        pipeline(
          'p',
          { checkpoint: lab.checkpoint },
          wrong(({ epoch }) => epoch !== 2),
        ),
        each,
      ),
    )
    expect(error.message).toContain('reached 0 ends in epoch 2')
    expect((await lab.head()).manifest.epoch).toBe(1)
    expect(await outputFiles(out('x'))).toEqual(['part-00000001-flow-1.parquet'])
    await run(
      pipeline(
        'p',
        { checkpoint: lab.checkpoint },
        wrong(() => true),
      ),
      each,
    )
    expect(await lab.rows(at('x'))).toHaveLength(8)
  })

  test('an error in epoch 3 stops the run there', async () => {
    const failing = trips().pipe(
      map(batch => {
        if (batch.epoch === 3) throw new Error('my own mistake')
        return batch
      }),
      select('k'),
      to(parquetTo('x')),
    )
    await expect(run(pipeline('p', { checkpoint: lab.checkpoint }, failing), each)).rejects.toThrow('my own mistake')
    expect(await outputFiles(out('x'))).toHaveLength(2)
  })

  test('a plan that changes by epoch is refused', async () => {
    // The predicate is chosen when the mini-batch passes.
    const changing = trips().pipe(
      concatMap(batch => of(batch).pipe(where((batch.epoch < 2 ? 'v > 0' : 'v > 1') as string))),
      to(parquetTo('x')),
    )
    const error = await failure(run(pipeline('p', { checkpoint: lab.checkpoint }, changing), each))
    expect(error).toMatchObject({ kind: 'user', code: 'plan-changed' })
    expect((await lab.head()).manifest.epoch).toBe(1)
  })
})

describe('a pipeline that no longer fits its checkpoint', () => {
  test('is refused with what changed, and nothing is claimed', async () => {
    await run(pipeline('p', { checkpoint: lab.checkpoint }, trips().pipe(where('v > 0'), to(parquetTo('x')))))
    const before = await lab.head()
    const error = await failure(
      run(pipeline('p', { checkpoint: lab.checkpoint }, trips().pipe(where('v > 1'), to(parquetTo('x'))))),
    )
    expect(error).toMatchObject({ kind: 'user', code: 'plan-changed' })
    expect(error.message).toContain("flow-1: where predicate: was 'v > 0', is now 'v > 1'.")
    expect(await lab.head()).toEqual(before)
  })
})
