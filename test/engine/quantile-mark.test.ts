import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failure, type Lab, openLab, run, windowed, type WindowedFlow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow: WindowedFlow = { columns: { t: 'TIMESTAMP NOT NULL' }, delay: '0s' }

/** The object's high mark in the ledger, as seconds since 1970. */
async function highMark(rows: number, options: Partial<WindowedFlow>, ahead = 0): Promise<number | null> {
  // One row each second, in no order, and some far ahead.
  await lab.parquet(
    'x_2022-01.parquet',
    `SELECT TIMESTAMP '2022-01-01' + INTERVAL ((i * 7919) % ${rows}) SECOND AS t FROM range(${rows}) AS r(i) ` +
      `UNION ALL SELECT TIMESTAMP '2098-01-01' FROM range(${ahead})`,
  )
  await run(windowed(lab, lab, { ...flow, ...options }), { flush: false })
  const [row] = await lab.channel('ledger')
  return typeof row?.high_mark_us !== 'string'
    ? null
    : Number(row.high_mark_us) / 1e6 - Date.parse('2022-01-01T00:00:00Z') / 1e3
}

describe('a quantile as high mark (S3)', () => {
  test.each([
    { name: 'is the nearest rank', rows: 1000, mark: { quantile: 0.9 }, expected: 899 },
    { name: 'is exact at the least number of rows', rows: 10, mark: { quantile: 0.9 }, expected: 8 },
    { name: 'is none with fewer rows', rows: 9, mark: { quantile: 0.9 }, expected: null },
    {
      name: 'with fewer rows gives way to the maximum inside bounds',
      rows: 9,
      mark: { quantile: 0.9 },
      bounds: 'x_{yyyy}-{MM}',
      expected: 8,
    },
    { name: 'is not moved by a few rows far ahead', rows: 1000, ahead: 1, mark: { quantile: 0.99 }, expected: 990 },
    {
      name: 'is taken inside bounds',
      rows: 1000,
      ahead: 500,
      mark: { quantile: 0.9 },
      bounds: 'x_{yyyy}-{MM}',
      expected: 899,
    },
  ])('$name', async ({ rows, ahead, expected, mark, bounds }) => {
    expect(await highMark(rows, { mark, ...(bounds ? { bounds } : {}) }, ahead)).toBe(expected)
  })

  test.each([0, 1, -0.1, 1.5, Number.NaN, '0.9'])('of %s is refused', async quantile => {
    const error = await failure(() => run(windowed(lab, lab, { ...flow, mark: { quantile: quantile as number } })))
    expect(error.message).toMatch(/watermark\.mark\.quantile: .* expected a number above 0 and below 1/)
  })
})
