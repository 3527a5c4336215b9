/** A key that many rows of both sides have: its pairs are counted before they are made (law 6, decision 44). */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type BackfillOptions,
  files,
  hopping,
  inspect,
  join,
  type JoinKind,
  MillraceError,
  parquet,
  pipeline,
  rename,
  select,
  source,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { failure, type Lab, openLab, type Place, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const start = `TIMESTAMP '2024-01-01 10:00:00'`

/** An object of rows, as the items of a query over `i`. */
function write(key: string, rows: number, items: { at: string; what: string; key?: string }): Promise<string> {
  const { at, what, key: own = "'hot'" } = items
  return lab.parquet(
    `${key}.parquet`,
    `SELECT ${at} AS at, ${what} AS what, ${own} AS k, i FROM range(${rows}) AS r(i)`,
  )
}

const sidesOf = () => {
  const events = source('events', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', what: 'VARCHAR', k: 'VARCHAR', i: 'BIGINT' },
    time: 'at',
    watermark: { delay: '10 days' },
  })
  return {
    left: events.pipe(where("what = 'l'"), select('k', 'i')),
    right: events.pipe(where("what = 'r'"), select('k', 'i'), rename({ k: 'other', i: 'j' })),
  }
}

const on = { k: 'other' } as const
interface Bound {
  readonly kind?: JoinKind
  readonly within?: readonly [`${number} minutes`, `${number} minutes`]
  readonly pairsOfKeyMax?: number
}

function ofInterval({ kind = 'inner', within = ['-60 minutes', '60 minutes'], ...bound }: Bound, at: Place = lab) {
  const { left, right } = sidesOf()
  return pipeline(
    'hot',
    { checkpoint: at.checkpoint },
    left.pipe(join(right, { on, within, kind, ...bound }), to(files(at.output, { format: 'json' }))),
  )
}

function ofWindow({ kind = 'inner', pairsOfKeyMax }: Bound, window = tumbling('1 hour'), at: Place = lab) {
  const { left, right } = sidesOf()
  const bound = pairsOfKeyMax === undefined ? {} : { pairsOfKeyMax }
  return pipeline(
    'hot',
    { checkpoint: at.checkpoint },
    left.pipe(
      window,
      join(right.pipe(window), { on, window: true, kind, ...bound }),
      to(files(at.output, { format: 'json' })),
    ),
  )
}

const fails = (made: ReturnType<typeof ofInterval>, options?: BackfillOptions) => failure(run(made, options))

describe('a join on an interval', () => {
  test.each(['inner', 'left', 'right', 'full', 'semi', 'anti'] as const)('%s', async kind => {
    await write('1', 30, { at: start, what: `CASE WHEN i < 10 THEN 'l' ELSE 'r' END` })
    await write('2', 5, { at: start, what: `CASE WHEN i < 3 THEN 'l' ELSE 'r' END`, key: "'cold'" })
    const error = await fails(ofInterval({ kind, pairsOfKeyMax: 199 }))
    expect(error).toMatchObject({ kind: 'fatal', code: 'crowded-key' })
    expect(error).toBeInstanceOf(MillraceError)
    expect((error as MillraceError).at?.file).toBe(import.meta.filename)
    expect(String(error)).toMatch(
      /join \(step [0-9a-f]{8}\): key k = hot has 10 rows on the left side and 20 on the right one, so 200 pairs of them would be compared in this epoch; at most 199 are\..*pairsOfKeyMax/,
    )
    expect((await inspect(lab.checkpoint)).epoch).toBe(0)
    // The same checkpoint goes on with a higher bound: it is no part of the plan.
    await run(ofInterval({ kind, pairsOfKeyMax: 200 }))
    const rows = { inner: 206, left: 206, right: 206, full: 206, semi: 13, anti: 0 }
    expect(await lab.rows()).toHaveLength(rows[kind])
    expect(await verify(ofInterval({ kind }))).toMatchObject({ differences: [] })
  })

  test('rows of one epoch meet those of earlier ones, and pairs of those are none of it', async () => {
    await write('1', 20, { at: start, what: `CASE WHEN i < 10 THEN 'l' ELSE 'r' END` })
    await write('2', 5, { at: start, what: `'r'` })
    const cut = { objectsPerEpoch: 1 }
    expect(String(await fails(ofInterval({ pairsOfKeyMax: 99 }), cut))).toContain('100 pairs')
    await run(ofInterval({ pairsOfKeyMax: 100 }), cut)
    expect(await lab.rows()).toHaveLength(150)
    const whole = await fails(ofInterval({ pairsOfKeyMax: 149 }, lab.place('whole')))
    expect(String(whole)).toContain('10 rows on the left side and 15 on the right one, so 150 pairs')
    await write('3', 1, { at: start, what: `'l'` })
    expect(String(await fails(ofInterval({ pairsOfKeyMax: 14 }), cut))).toContain('11 rows on the left side and 15 on')
  })

  test('rows that lie far from each other in time are not compared', async () => {
    const at = `${start} + to_minutes(i * 10)`
    await write('1', 300, { at, what: `'l'` })
    await write('2', 300, { at: `${at} + INTERVAL 1 MINUTE`, what: `'r'` })
    await run(ofInterval({ within: ['0 minutes', '5 minutes'], pairsOfKeyMax: 600 }))
    expect(await lab.rows()).toHaveLength(300)
  })

  test('no bound is passed unseen, whatever keys and times are drawn', async () => {
    const { random, label } = drawn()
    for (let round = 0; round < 4; round++) {
      const whole = (most: number) => 1 + Math.floor(random() * most)
      const [keys, minutes, salt, place] = [whole(3), whole(200), whole(1_000), lab.place(`round-${round}`)]
      await write('1', 120, {
        at: `${start} + to_minutes(CAST(hash(i + ${salt}) % ${minutes} AS BIGINT))`,
        what: `CASE WHEN hash(i + ${salt + 7}) % 2 = 0 THEN 'l' ELSE 'r' END`,
        key: `CASE WHEN hash(i) % ${keys + 1} > 0 THEN concat('k', hash(i) % ${keys + 1}) END`,
      })
      const within = [`${-whole(40)} minutes`, `${whole(40)} minutes`] as const
      const all = `read_parquet('${lab.input}/1.parquet')`
      const [most] = await lab.sql(
        `SELECT count(*) AS n FROM ${all} AS l JOIN ${all} AS r ON l.k = r.k AND l.what = 'l' AND r.what = 'r'
         AND r.at BETWEEN l.at + INTERVAL '${within[0]}' AND l.at + INTERVAL '${within[1]}' GROUP BY l.k ORDER BY n DESC LIMIT 1`,
      )
      const pairs = Number(most?.n)
      expect(String(await fails(ofInterval({ within, pairsOfKeyMax: pairs - 1 }, place))), label).toContain('pairs of')
    }
  })
})

describe('a join of windows', () => {
  beforeEach(async () => {
    await write('1', 30, { at: start, what: `CASE WHEN i < 10 THEN 'l' ELSE 'r' END` })
    await write('2', 20, { at: `${start} + INTERVAL 1 HOUR`, what: `CASE WHEN i < 10 THEN 'l' ELSE 'r' END` })
  })

  test.each(['inner', 'left', 'right', 'full'] as const)('%s', async kind => {
    const error = await fails(ofWindow({ kind, pairsOfKeyMax: 299 }))
    expect(error).toMatchObject({ kind: 'fatal', code: 'crowded-key' })
    expect(String(error)).toContain(
      'key k = hot has 20 rows on the left side and 30 on the right one, so 300 pairs of them would be compared',
    )
    await run(ofWindow({ kind, pairsOfKeyMax: 300 }))
    expect(await lab.rows()).toHaveLength(300)
  })

  test.each(['semi', 'anti'] as const)('%s needs no pairs, and so has no bound', async kind => {
    await run(ofWindow({ kind, pairsOfKeyMax: 1 }))
    expect(await lab.rows()).toHaveLength(kind === 'semi' ? 20 : 0)
  })

  test('rows count in each of their windows', async () => {
    const two = hopping('2 hours', '1 hour') as unknown as ReturnType<typeof tumbling>
    // [9, 11): 10 and 20, [10, 12): 20 and 30, [11, 13): 10 and 10.
    expect(String(await fails(ofWindow({ pairsOfKeyMax: 899 }, two)))).toContain('900 pairs')
    await run(ofWindow({ pairsOfKeyMax: 900 }, two))
    expect(await lab.rows()).toHaveLength(900)
  })
})

/** 1000000, the default bound and --memory 512MB: the long form, which docs/long-runs.md names. */
const hotRows = wholeFromEnvironment('MILLRACE_CROWDED_ROWS', 3_000)

test.each(['an interval', 'windows'] as const)(
  `${hotRows} rows of one key on both sides, in %s, fail with its name`,
  async of => {
    await write('1', hotRows, { at: `${start} + to_microseconds(i)`, what: `'l'` })
    await write('2', hotRows, { at: `${start} + to_microseconds(i)`, what: `'r'` })
    const bound = hotRows ** 2 > 100_000_000 ? {} : { pairsOfKeyMax: hotRows ** 2 - 1 }
    const error = await fails(of === 'windows' ? ofWindow(bound) : ofInterval(bound), { memory: '512MB' })
    const rows = hotRows.toLocaleString('en')
    const pairs = (BigInt(hotRows) ** 2n).toLocaleString('en')
    expect(String(error)).toContain(`key k = hot has ${rows} rows on the left side and ${rows} on the right one`)
    expect(String(error)).toContain(`so ${pairs} pairs of them`)
  },
  600_000,
)

test.each([0, 1.5, -1, 'many'])('pairsOfKeyMax: %j is refused', value => {
  const { left, right } = sidesOf()
  expect(() => left.pipe(join(right, { on, within: ['0 seconds', '1 hour'], pairsOfKeyMax: value as number }))).toThrow(
    'pairsOfKeyMax',
  )
})
