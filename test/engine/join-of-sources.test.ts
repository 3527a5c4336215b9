/** Two sources that meet in a join: trips in Parquet by day, payments in JSON lines that come later (S4, S12). */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join as pathOf } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { files, join, json, type Pipeline, parquet, pipeline, source, to, verify } from '../../src/index.ts'
import { type Lab, openLab, outputHashes, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  for (const name of ['trips', 'payments']) await mkdir(at(name))
  for (const day of [1, 2, 3]) await writeDay(day)
})
afterEach(() => lab[Symbol.asyncDispose]())

const at = (name: string) => pathOf(lab.root, name)
const place = (name: string) => ({ output: at(`${name}-out`), checkpoint: at(`${name}-ck`) })

/** Each seventh trip is never paid, each ninth payment has no trip; a payment is made up to 110 minutes after its trip. */
async function writeDay(day: number): Promise<void> {
  const from = `TIMESTAMP '2024-01-0${day}'`
  const made = await lab.parquet(
    `trips_2024-01-0${day}.parquet`,
    `SELECT ${from} + i * INTERVAL 13 MINUTE AS at, ${day} * 1000 + i AS trip, i % 5 AS zone FROM range(100) AS r(i) WHERE i % 7 > 0`,
  )
  await rename(made, pathOf(at('trips'), `trips_2024-01-0${day}.parquet`))
  const paid = await lab.sql(
    `SELECT ${from} + i * INTERVAL 13 MINUTE + (i * 37 % 110) * INTERVAL 1 MINUTE AS paid_at, ` +
      `CASE WHEN i % 9 = 0 THEN -i ELSE ${day} * 1000 + i END AS trip, i * 10 AS cents FROM range(100) AS r(i)`,
  )
  const lines = paid.map(({ paid_at, trip, cents }) =>
    JSON.stringify({ paid_at, trip: Number(trip), cents: Number(cents) }),
  )
  await writeFile(pathOf(at('payments'), `pay_2024-01-0${day}.jsonl`), `${lines.join('\n')}\n`)
}

const trips = () =>
  source('trips', {
    objects: at('trips'),
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', trip: 'BIGINT', zone: 'BIGINT' },
    time: 'at',
    watermark: { delay: '1 hour', bounds: 'trips_{yyyy}-{MM}-{dd}' },
  })
const payments = (more: { readonly onBadRow?: 'quarantine' } = {}) =>
  source('payments', {
    objects: at('payments'),
    format: json(),
    columns: { paid_at: 'TIMESTAMP NOT NULL', trip: 'BIGINT', cents: 'BIGINT' },
    time: 'paid_at',
    watermark: { delay: '2 hours', bounds: 'pay_{yyyy}-{MM}-{dd}' },
    ...more,
  })
const within = ['0 minutes', '2 hours'] as const

const kinds = ['inner', 'left', 'right', 'full', 'semi', 'anti'] as const
const paid = (name: string, kind: (typeof kinds)[number]): Pipeline =>
  pipeline(
    'paid',
    { checkpoint: place(name).checkpoint },
    trips().pipe(
      join(payments(), { on: ['trip'], within, kind }),
      to(files(place(name).output, { format: 'parquet' })),
    ),
  )

/** The same from one query over all rows. */
function expectedSql(kind: (typeof kinds)[number]): string {
  const left = `(SELECT "at", trip, zone FROM read_parquet(${quoted(pathOf(at('trips'), '*.parquet'))}))`
  const right =
    `(SELECT paid_at::TIMESTAMP AS paid_at, trip, cents ` +
    `FROM read_json(${quoted(pathOf(at('payments'), '*.jsonl'))}))`
  const on = `t.trip = p.trip AND p.paid_at - t."at" BETWEEN INTERVAL 0 MINUTE AND INTERVAL 2 HOUR`
  if (kind === 'semi' || kind === 'anti') return `SELECT t.* FROM ${left} AS t ${kind} JOIN ${right} AS p ON ${on}`
  return (
    `SELECT t."at", coalesce(t.trip, p.trip) AS trip, t.zone, p.paid_at, p.cents ` +
    `FROM ${left} AS t ${kind} JOIN ${right} AS p ON ${on}`
  )
}

const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row, Object.keys(row).toSorted())).toSorted()

describe('a join of two sources', () => {
  test.each(kinds)('of kind %s gives what one query over all rows gives, in every cut', async kind => {
    const expected = sorted(await lab.sql(expectedSql(kind)))
    expect(expected.length).toBeGreaterThan(20)
    for (const objectsPerEpoch of [1, 3, 100]) {
      const name = `${kind}${objectsPerEpoch}`
      const summary = await run(paid(name, kind), { objectsPerEpoch })
      expect(summary.totals).toMatchObject({ objects: 6, late: 0 })
      expect(sorted(await lab.rows(place(name)))).toEqual(expected)
    }
    expect(await verify(paid(`${kind}1`, kind))).toMatchObject({ differences: [] })
  })

  test('goes on in later runs, with windows of time left open between them', async () => {
    const later = pathOf(at('payments'), 'pay_2024-01-03.jsonl')
    await rename(later, at('aside'))
    await run(paid('a', 'full'), { flush: false, objectsPerEpoch: 2 })
    await rename(at('aside'), later)
    await run(paid('a', 'full'))
    expect(sorted(await lab.rows(place('a')))).toEqual(sorted(await lab.sql(expectedSql('full'))))
    expect(await verify(paid('a', 'full'))).toMatchObject({ differences: [] })
    await run(paid('b', 'full'), { ledger: place('a').checkpoint, objectsPerEpoch: 1 })
    await run(paid('c', 'full'), { ledger: place('a').checkpoint, objectsPerEpoch: 1 })
    expect(await outputHashes(place('b').output)).toEqual(await outputHashes(place('c').output))
    expect(sorted(await lab.rows(place('b')))).toEqual(sorted(await lab.rows(place('a'))))
  })

  test('a side of which no object can be read holds nothing back at the end: rows of the other stand alone', async () => {
    for (const day of [1, 2, 3]) await writeFile(pathOf(at('payments'), `pay_2024-01-0${day}.jsonl`), 'no JSON\n')
    const bad = payments({ onBadRow: 'quarantine' })
    const flow = (name: string) =>
      pipeline(
        'paid',
        { checkpoint: place(name).checkpoint },
        trips().pipe(
          join(bad, { on: ['trip'], within, kind: 'full' }),
          to(files(place(name).output, { format: 'parquet' })),
        ),
      )
    const open = await run(flow('bad'), { flush: false, objectsPerEpoch: 2 })
    expect(open.totals).toMatchObject({ objects: 6, late: 0, quarantinedRows: 3 })
    expect(open.watermarks).toMatchObject({ payments: null })
    // Without a mark of the other side nothing is known to be final.
    expect(await lab.rows(place('bad'))).toEqual([])
    await run(flow('bad'))
    const alone = `SELECT "at", trip, zone, NULL AS paid_at, NULL AS cents FROM read_parquet(${quoted(pathOf(at('trips'), '*.parquet'))})`
    expect(sorted(await lab.rows(place('bad')))).toEqual(sorted(await lab.sql(alone)))
  })

  test('is refused where one of them has no event time, naming it', async () => {
    const timeless = source('notes', {
      objects: at('notes'),
      format: json(),
      columns: { trip: 'BIGINT', note: 'VARCHAR' },
    })
    const untyped = join as unknown as (other: unknown, options: unknown) => never
    const flow = (left: { pipe: (...all: never[]) => unknown }, right: unknown) =>
      pipeline(
        'noted',
        { checkpoint: place('noted').checkpoint },
        left.pipe(
          untyped(right, { on: ['trip'], within }),
          to(files(place('noted').output, { format: 'json' })) as never,
        ) as never,
      )
    for (const refused of [flow(trips(), timeless), flow(timeless as never, trips())])
      await expect(run(refused)).rejects.toThrow('join: it goes by an event time, and source notes has none')
  })
})
