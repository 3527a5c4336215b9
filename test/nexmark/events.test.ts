import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Lab, openLab } from '../engine/harness.ts'
import { nexmarkColumns, nexmarkRows, type NexmarkStream } from './events.ts'

let lab: Lab
beforeAll(async () => {
  lab = await openLab()
})
afterAll(() => lab[Symbol.asyncDispose]())

const options = { events: 20_000, perSecond: 100, outOfOrder: 50 }
const all = (stream: NexmarkStream) => `(${nexmarkRows(stream, options, 0, options.events)})`
const asked = async (query: string) => (await lab.sql(query))[0]

test('of fifty events one is a person, three are auctions and 46 bids, whose columns are the declared ones', async () => {
  for (const [stream, share] of [
    ['person', 1],
    ['auction', 3],
    ['bid', 46],
  ] as const) {
    const rows = await lab.sql(`FROM ${all(stream)}`)
    expect(rows).toHaveLength((options.events / 50) * share)
    expect(Object.keys(rows[0] ?? {})).toEqual(Object.keys(nexmarkColumns[stream]))
  }
})

test('parts are the whole', async () => {
  const whole = await lab.sql(`FROM ${all('auction')}`)
  const parts = [0, 7001, 15_020, options.events]
  const rows = await Promise.all(
    parts.slice(1).map((end, index) => lab.sql(nexmarkRows('auction', options, parts[index] ?? 0, end))),
  )
  expect(rows.flat()).toEqual(whole)
})

test('ids count up; bids are for auctions of people that are there, or soon will be', async () => {
  for (const stream of ['person', 'auction'] as const)
    expect(
      await asked(
        `SELECT min(id) AS low, max(id) - count(*) AS base, count(*) - count(DISTINCT id) AS twice FROM ${all(stream)}`,
      ),
    ).toEqual({ low: '1000', base: '999', twice: '0' })
  const lost = `SELECT count(*) AS n FROM ${all('bid')} AS b WHERE bidder NOT IN (SELECT id FROM ${all('person')}) OR auction NOT IN (SELECT id FROM ${all('auction')})`
  expect(Number((await asked(lost))?.n)).toBeLessThan(options.events / 100)
  expect(
    await asked(
      `SELECT count(*) AS n FROM ${all('auction')} WHERE seller NOT BETWEEN 1000 AND 1409 OR expires <= date_time OR reserve < initial_bid`,
    ),
  ).toEqual({ n: '0' })
})

test('half of the bids are for a hot auction, three quarters of a hot bidder, a tenth is old', async () => {
  const share = async (condition: string) =>
    Number((await asked(`SELECT avg(CASE WHEN ${condition} THEN 1 ELSE 0 END) AS share FROM ${all('bid')}`))?.share)
  expect(await share('auction % 100 = 0')).toBeCloseTo(0.5, 1)
  expect(await share('bidder % 100 = 1')).toBeCloseTo(0.75, 1)
  const old = await asked(
    `SELECT count(*) / (SELECT count(*) FROM ${all('bid')}) AS share FROM (SELECT date_time, max(date_time) OVER (ROWS UNBOUNDED PRECEDING) AS before FROM ${all('bid')}) WHERE date_time < before - INTERVAL 1 SECOND`,
  )
  expect(Number(old?.share)).toBeCloseTo(0.1 * (2 / 3), 1)
})
