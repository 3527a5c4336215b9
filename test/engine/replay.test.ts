import { execFile } from 'node:child_process'
import { readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { renderMissing } from '../../src/cli/commands/verify.ts'
import { avg, count, sum, verify } from '../../src/index.ts'
import { failure, type Lab, openLab, outputFiles, run, type TextRow, windowed, type WindowedFlow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow: WindowedFlow = {
  columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'DOUBLE' },
  keys: ['k'],
  delay: '1 hour',
  aggregates: { n: count(), total: sum('v'), mean: avg('v') },
}

/** A file of rows around a day: some late after the days before, one far ahead of all. */
const day = (date: string, more = '') =>
  lab.parquet(
    `${date}.parquet`,
    `SELECT TIMESTAMP '${date}' + i * INTERVAL 7 MINUTE AS t, 'k' || i % 3 AS k, i * 0.1 AS v FROM range(-30, 200) AS r(i) ${more}`,
  )

/** Three runs: a flush in the middle, a file that is no Parquet, an overwritten file. */
async function threeRuns() {
  await day('2022-01-01')
  await day('2022-01-02')
  await run(windowed(lab, lab, flow))
  await lab.lines('2022-01-03.parquet', ['no Parquet'])
  await day('2022-01-04', `UNION ALL SELECT TIMESTAMP '2022-01-01', 'k0', 1e300`)
  await run(windowed(lab, lab, flow), { objectsPerEpoch: 1, flush: false })
  await day('2022-01-02', 'LIMIT 10')
  await day('2022-01-05')
  return run(windowed(lab, lab, flow))
}

const facts = async (place: Pick<Lab, 'output' | 'checkpoint'>) => ({
  rows: await lab.rows(place),
  late: await lab.channels('late-', place),
  ledger: (await lab.channel('ledger', place)).map(({ epoch: _epoch, ...row }: TextRow) => row),
})

describe('backfill --ledger (S1, S7)', () => {
  test.each([1, 2, 100])(
    'repeats order, outcomes and flushes of another run: the same rows, late rows and ledger, %i objects an epoch',
    async objectsPerEpoch => {
      const first = await threeRuns()
      expect(first.totals).toMatchObject({ objects: 6, quarantined: 2 })
      expect(first.totals.late).toBeGreaterThan(0)
      // The overwritten file is gone as it was read, so the ledger asks for a version that cannot be had.
      const copy = lab.place('copy')
      const error = await failure(run(windowed(lab, copy, flow), { ledger: lab.checkpoint, objectsPerEpoch }))
      expect(error).toMatchObject({ kind: 'fatal', code: 'replay-object' })
      expect(error.message).toContain("object '2022-01-02.parquet'")
    },
  )

  test.each([1, 2, 100])('of a ledger whose objects are all there gives the same, %i objects an epoch', async cut => {
    await day('2022-01-01')
    await day('2022-01-02')
    await run(windowed(lab, lab, flow))
    await lab.lines('2022-01-03.parquet', ['no Parquet'])
    await day('2022-01-04', `UNION ALL SELECT TIMESTAMP '2022-01-01', 'k0', 1e300`)
    await run(windowed(lab, lab, flow), { objectsPerEpoch: 1, flush: false })
    // Older than all before: a listing would put it first, the ledger has it last.
    await day('2021-12-31')
    const last = await run(windowed(lab, lab, flow))
    const expected = await facts(lab)
    expect(expected.ledger.filter(({ is }) => is === 'flush')).toHaveLength(2)
    expect(expected.late.length).toBeGreaterThan(0)

    const copy = lab.place('copy')
    const summary = await run(windowed(lab, copy, flow), { ledger: lab.checkpoint, objectsPerEpoch: cut })
    expect(await facts(copy)).toEqual(expected)
    expect(summary.totals).toEqual({ ...last.totals, epochs: summary.totals.epochs })
    expect(await run(windowed(lab, copy, flow), { ledger: lab.checkpoint })).toMatchObject({
      nothingToDo: true,
      run: { isReplay: true },
    })

    const listed = lab.place('listed')
    await run(windowed(lab, listed, flow))
    expect((await facts(listed)).late).not.toEqual(expected.late)
  })

  test('goes on where it stopped, and with what the ledger has got since', async () => {
    await day('2022-01-01')
    await run(windowed(lab, lab, flow), { flush: false })
    const copy = lab.place('copy')
    await run(windowed(lab, copy, flow), { ledger: lab.checkpoint })
    await day('2022-01-02')
    await run(windowed(lab, lab, flow))
    await run(windowed(lab, copy, flow), { ledger: lab.checkpoint })
    expect(await facts(copy)).toEqual(await facts(lab))
  })

  test('sets aside the rows that the other run did, whatever the policy is now', async () => {
    const json: WindowedFlow = { ...flow, format: 'json', onBadRow: 'quarantine' }
    const at = '2022-01-01T00:00:00Z'
    await lab.lines('a.jsonl', [`{"t":"${at}","k":"a","v":1}`, `{"t":"${at}","k":"a","v":"x"}`])
    await run(windowed(lab, lab, json))
    const strict = { ...json, onBadRow: 'fail', onBadObject: 'fail' } as const
    const copy = lab.place('copy')
    expect(await run(windowed(lab, copy, strict), { ledger: lab.checkpoint })).toMatchObject({
      totals: { rows: 2, quarantinedRows: 1 },
    })
    expect(await facts(copy)).toEqual(await facts(lab))
    expect(await verify(windowed(lab, lab, strict))).toMatchObject({ differences: [], gone: [], rows: 1 })
    // New rows are judged by the policy of now.
    expect(await failure(run(windowed(lab, lab.place('new'), strict)))).toMatchObject({ code: 'bad-row' })
  })

  test('by a source that judges times otherwise is refused, naming the difference, and claims nothing', async () => {
    await day('2022-01-01')
    await run(windowed(lab, lab, flow))
    const copy = lab.place('copy')
    const error = await failure(run(windowed(lab, copy, { ...flow, delay: '2 hours' }), { ledger: lab.checkpoint }))
    expect(error).toMatchObject({ kind: 'user' })
    expect(error.message).toContain("source in delayUs: was '3600000000', is now '7200000000'.")
    await expect(lab.head(copy)).rejects.toThrow('holds no checkpoint')
  })

  test('onto its own checkpoint is refused before it is claimed', async () => {
    await day('2022-01-01')
    expect(await run(windowed(lab, lab, flow))).toMatchObject({ run: { isReplay: false } })
    const { term } = await lab.head(lab)
    const error = await failure(run(windowed(lab, lab, flow), { ledger: lab.checkpoint }))
    expect(error).toMatchObject({ kind: 'user', code: 'configuration' })
    expect(error.message).toContain('give a new --checkpoint and --output')
    expect(await lab.head(lab)).toMatchObject({ term })
  })

  test('of a folder without a checkpoint is refused, and so is a period beside it', async () => {
    await day('2022-01-01')
    expect(await failure(run(windowed(lab, lab, flow), { ledger: lab.input }))).toMatchObject({ kind: 'user' })
    const both = run(windowed(lab, lab, flow), { ledger: lab.input, from: '2022-01' })
    expect((await failure(both)).message).toContain('--from')
  })
})

describe('verify', () => {
  test('finds nothing different in a run, however it was cut', async () => {
    for (const date of ['2022-01-01', '2022-01-02', '2022-01-04']) await day(date)
    for (const [name, objectsPerEpoch] of [
      ['single', 1],
      ['whole', 100],
    ] as const) {
      const place = lab.place(name)
      const { totals } = await run(windowed(lab, place, flow), { objectsPerEpoch })
      const found = await verify(windowed(lab, place, flow), {})
      expect(found).toMatchObject({ differences: [], gone: [], epochs: totals.epochs, lateRows: totals.late })
      expect(found.replayEpochs).not.toBe(totals.epochs)
      expect(found.rows).toBe((await lab.rows(place)).length)
    }
  })

  test('names the first window that differs: here of a file changed behind its eTag', async () => {
    const json: WindowedFlow = { ...flow, format: 'json', columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'DOUBLE' } }
    const write = async (changed: string) => {
      const lines = ['00', '05', '07', '09'].map(
        hour => `{"t":"2022-01-01 ${hour}:00:00","k":"a","v":${hour === changed ? 2 : 1}}`,
      )
      const file = await lab.lines('a.jsonl', lines)
      // The same size and time, so the same eTag.
      await utimes(file, 1_700_000_000, 1_700_000_000)
    }
    await write('none')
    await run(windowed(lab, lab, json))
    await write('07')
    const found = await verify(windowed(lab, lab, json), {})
    expect(found.differences).toMatchObject([
      { of: 'flow-1', only: 'checkpoint', row: { window_start: new Date('2022-01-01T07:00:00Z'), k: 'a', total: 1 } },
    ])
  })

  test('tells output whose bytes are not those of the commit before any row is compared (P10)', async () => {
    await day('2022-01-01')
    await run(windowed(lab, lab, flow))
    const file = join(lab.output, (await outputFiles(lab.output))[0] ?? '')
    const bytes = await readFile(file)
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await writeFile(file, bytes)
    expect(await failure(verify(windowed(lab, lab, flow), {}))).toMatchObject({ code: 'corrupt-object' })
  })

  test('says which objects are gone and replays nothing', async () => {
    await day('2022-01-01')
    await day('2022-01-02')
    await run(windowed(lab, lab, flow))
    await rm(join(lab.input, '2022-01-01.parquet'))
    expect(await verify(windowed(lab, lab, flow), {})).toMatchObject({
      gone: ['2022-01-01.parquet'],
      changed: [],
      replayEpochs: 0,
      differences: [],
    })
  })

  test('says of which objects another version lies there, with the time that touch restores', async () => {
    const file = await day('2022-01-01')
    const touch = (time: string) => promisify(execFile)('touch', ['-d', time, file])
    await touch('2022-02-01T00:00:00.123456789Z')
    await run(windowed(lab, lab, flow))
    await touch('2022-03-01T00:00:00Z')
    const { sizeBytes } = (await lab.channel('ledger')).map(row => ({ sizeBytes: Number(row.size_bytes) }))[0] as never
    const found = await verify(windowed(lab, lab, flow), {})
    expect(found).toMatchObject({
      gone: [],
      changed: [
        {
          key: '2022-01-01.parquet',
          expected: { modified: '2022-02-01T00:00:00.123456789Z', sizeBytes },
          found: { modified: '2022-03-01T00:00:00.000000000Z', sizeBytes },
        },
      ],
      replayEpochs: 0,
    })
    expect(renderMissing('p', found)).toMatch(
      /another version:\n {2}2022-01-01\.parquet: modified 2022-03-01.*, expected modified 2022-02-01/,
    )
    await touch(found.changed[0]?.expected.modified ?? '')
    expect(await verify(windowed(lab, lab, flow), {})).toMatchObject({ gone: [], changed: [], differences: [] })
  })
})
