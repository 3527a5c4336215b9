import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failure, type Lab, openLab, run, windowed, type WindowedFlow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow: WindowedFlow = { columns: { t: 'TIMESTAMP' }, format: 'json', delay: '1 day', bounds: 'm_{yyyy}-{MM}' }
const write = async (...keys: readonly string[]) => {
  for (const key of keys) await lab.lines(key, ['{"t":"2022-01-15"}'])
}
const keys = async () => (await lab.channel('ledger')).filter(row => row.is === 'object').map(({ key }) => key)

describe('the ledger order of a backfill (S7)', () => {
  test('is the period in the key, then the bytes of the key; keys without a period come last', async () => {
    // In UTF-16 the emoji would come before the full-width A; 2022-13 is no month.
    const ordered = [
      'z/m_2021-12.jsonl',
      'a/m_2022-01.jsonl',
      'm_2022-01.jsonl',
      'm_2022-01_Z.jsonl',
      'm_2022-01_a.jsonl',
      'm_2022-01_\u{FF21}.jsonl',
      'm_2022-01_\u{1F600}.jsonl',
      'b/c/m_2022-02.ndjson',
      '0.jsonl',
      'm_2022-13.json',
    ]
    await write(...ordered.toReversed())
    await run(windowed(lab, lab, flow), { objectsPerEpoch: 3 })
    expect(await keys()).toEqual(ordered)
  })

  test('a file that comes later joins at the end of the ledger, whatever its period', async () => {
    await write('m_2022-02.jsonl', 'm_2022-03.jsonl')
    await run(windowed(lab, lab, flow))
    await write('m_2022-01.jsonl', 'm_2022-04.jsonl')
    await run(windowed(lab, lab, flow))
    expect(await keys()).toEqual(['m_2022-02.jsonl', 'm_2022-03.jsonl', 'm_2022-01.jsonl', 'm_2022-04.jsonl'])
  })

  test('more objects than one page of the listing keep their order', async () => {
    const many = Array.from({ length: 1_050 }, (_, index) => `m_2022-01_${String(index).padStart(5, '0')}.jsonl`)
    await Promise.all(many.map(key => lab.lines(key, ['{"t":"2022-01-15"}'])))
    const summary = await run(windowed(lab, lab, flow), { objectsPerEpoch: 300 })
    expect(summary.totals).toMatchObject({ objects: 1_050, rows: 1_050, epochs: 5 })
    expect(await keys()).toEqual(many)
    expect(await lab.rows()).toMatchObject([{ n: '1050' }])
  })
})

describe('what is listed', () => {
  test('files of the format at any depth; others are counted as ignored and never opened', async () => {
    await write('m_2022-01.jsonl', 'deep/er/m_2022-02.JSONL', 'notes.txt', 'm_2022-03.parquet', 'm_2022-04.jsonl.bz2')
    const summary = await run(windowed(lab, lab, flow))
    expect(await keys()).toEqual(['m_2022-01.jsonl', 'deep/er/m_2022-02.JSONL'])
    expect(summary.run).toMatchObject({ ignored: 3, leftOut: 0, objects: 2 })
  })

  test('a glob takes what it matches; the keys are those of its root', async () => {
    await write('m_2022-01.jsonl', 'm_2022-02.jsonl', 'n_2022-01.jsonl')
    await run(windowed(lab, lab, flow), { input: `${lab.input}/m_*.jsonl` })
    expect(await keys()).toEqual(['m_2022-01.jsonl', 'm_2022-02.jsonl'])
  })

  test('from is inclusive, to is exclusive; keys without a period are left out and counted', async () => {
    await write('m_2021-12.jsonl', 'm_2022-01.jsonl', 'm_2022-02.jsonl', 'm_2022-03.jsonl', 'other.jsonl')
    const summary = await run(windowed(lab, lab, flow), { from: '2022-01', to: '2022-03' })
    expect(await keys()).toEqual(['m_2022-01.jsonl', 'm_2022-02.jsonl'])
    expect(summary.run).toMatchObject({ objects: 2, leftOut: 3 })
    // What was left out is not counted: a later run takes it.
    expect((await run(windowed(lab, lab, flow))).run).toMatchObject({ objects: 3, leftOut: 0 })
  })

  test.each([
    [{ from: '2022-13' }, /from: '2022-13' is not valid; expected a UTC date/],
    [{ from: '2022-02', to: '2022-02' }, /--to: '2022-02' is not valid; expected a date after --from/],
  ])('%o is refused', async (options, message) => {
    await write('m_2022-01.jsonl')
    expect((await failure(run(windowed(lab, lab, flow), options))).message).toMatch(message)
  })

  test('from without a key pattern in bounds is refused', async () => {
    await write('m_2022-01.jsonl')
    const { bounds: _, ...without } = flow
    expect((await failure(run(windowed(lab, lab, without), { from: '2022-01' }))).message).toMatch(/watermark.bounds/)
  })
})
