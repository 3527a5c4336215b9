import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { explain } from '../../src/engine/explain.ts'
import {
  aggregate,
  collect,
  count,
  dedupe,
  derive,
  files,
  first,
  groupBy,
  json,
  last,
  mapRows,
  pipeline,
  query,
  select,
  source,
  sum,
  to,
  topK,
  tumbling,
  union,
  unnest,
  verify,
  where,
} from '../../src/index.ts'
import { failure, type Lab, openLab, type Place, run, runs } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const orders = () =>
  source('orders', {
    objects: lab.input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', id: 'BIGINT NOT NULL', tags: 'VARCHAR[]', items: 'JSON' },
    time: 'at',
    watermark: { delay: '1 hour' },
  })

interface Order {
  readonly hour: number
  readonly id: number
  readonly tags: readonly (string | null)[] | null
  readonly items: readonly { readonly sku: string; readonly qty: number }[] | null
}

const line = ({ hour, id, tags, items }: Order) =>
  JSON.stringify({ at: `2024-01-01 ${String(hour).padStart(2, '0')}:10:00`, id, tags, items })

const write = (key: string, rows: readonly Order[]) => lab.lines(key, rows.map(line))

const sku = fc.constantFrom('a', 'b', 'c')
const order = fc.record({
  hour: fc.integer({ min: 0, max: 4 }),
  tags: fc.option(fc.array(fc.option(sku, { nil: null }), { maxLength: 3 }), { nil: null }),
  items: fc.option(fc.array(fc.record({ sku, qty: fc.integer({ min: 1, max: 9 }) }), { maxLength: 3 }), { nil: null }),
})
/** Orders in files, numbered in the order of the files. */
const drawnFiles = fc
  .array(fc.array(order, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 })
  .map(found => {
    let id = 0
    return found.map(rows => rows.map((row): Order => ({ ...row, id: id++ })))
  })

/** Rows of an hour and a key as plain objects, hours first. */
const sorted = <T extends Readonly<Record<string, unknown>>>(rows: readonly T[]) =>
  rows.map(row => JSON.stringify(row)).toSorted()

let places = 0
const fresh = () => lab.place(`place-${++places}`)

describe('before a window', () => {
  const flow = (at: Place) =>
    pipeline(
      'bought',
      { checkpoint: at.checkpoint },
      orders().pipe(
        unnest('items', { columns: { sku: 'VARCHAR NOT NULL', qty: 'INTEGER NOT NULL' }, position: 'line' }),
        unnest('tags', { as: 'tag', outer: true }),
        tumbling('1 hour'),
        groupBy('sku'),
        aggregate({
          n: count(),
          qty: sum('qty'),
          ids: collect('id', { max: 99 }),
          tags: collect('tag', { max: 99 }),
          first: first('tag'),
          last: last('line'),
        }),
        to(files(at.output, { format: 'json' })),
      ),
    )

  test('each element is a row, in the order of the lists, whatever the cut (I11, S14)', async () => {
    await fc.assert(
      fc.asyncProperty(drawnFiles, fc.integer({ min: 1, max: 3 }), async (found, objectsPerEpoch) => {
        await using own = await openLab()
        lab = own
        for (const [index, rows] of found.entries()) await write(`${index}.jsonl`, rows)
        const at = fresh()
        await run(flow(at), { objectsPerEpoch })
        // An object is late for what is an hour older than those before it: only what is on time counts.
        let watermark = -1
        const onTime = found.flatMap(rows => {
          const kept = rows.filter(({ hour }) => hour + 1 > watermark)
          watermark = Math.max(watermark, ...rows.map(({ hour }) => hour - 1 + 1 / 6))
          return kept
        })
        const bought = onTime.flatMap(({ hour, id, tags, items }) =>
          (items ?? []).flatMap((item, index) =>
            (tags === null || tags.length === 0 ? [null] : tags).map(tag => ({
              ...item,
              hour,
              id,
              tag,
              line: index + 1,
            })),
          ),
        )
        const groups = new Map<string, typeof bought>()
        for (const row of bought.toSorted((a, b) => a.hour - b.hour)) {
          const key = `${row.hour} ${row.sku}`
          groups.set(key, [...(groups.get(key) ?? []), row])
        }
        const expected = [...groups.values()].map(rows => ({
          window_start: `2024-01-01 0${rows[0]?.hour}:00:00`,
          window_end: `2024-01-01 0${(rows[0]?.hour ?? 0) + 1}:00:00`,
          sku: rows[0]?.sku,
          n: rows.length,
          qty: rows.reduce((total, { qty }) => total + qty, 0),
          ids: rows.map(({ id }) => id),
          tags: rows.some(({ tag }) => tag !== null) ? rows.flatMap(({ tag }) => tag ?? []) : null,
          first: rows.find(({ tag }) => tag !== null)?.tag ?? null,
          last: rows.at(-1)?.line,
        }))
        const rows = await query(at.checkpoint, 'SELECT to_json(output)::VARCHAR AS row FROM output')
        expect(sorted(rows.rows.map(({ row }) => JSON.parse(String(row))))).toEqual(sorted(expected))
      }),
      runs(5),
    )
  })
})

describe('after a stateful step', () => {
  test('what an aggregate gives becomes rows again, and goes on into the next window', async () => {
    await write('a.jsonl', [
      { hour: 0, id: 1, tags: ['a', 'b'], items: null },
      { hour: 0, id: 2, tags: ['b'], items: null },
      { hour: 1, id: 3, tags: ['b', 'c', null], items: null },
    ])
    await write('b.jsonl', [{ hour: 3, id: 4, tags: ['a'], items: null }])
    const hours = (at: Place) =>
      pipeline(
        'chained',
        { checkpoint: at.checkpoint },
        orders().pipe(
          dedupe('id', '1 day'),
          unnest('tags', { as: 'tag' }),
          tumbling('1 hour'),
          aggregate({ top: topK('tag', 3), ids: collect('id', { max: 9 }) }),
          unnest('top'),
          unnest('ids', { as: 'id', position: 'place' }),
          tumbling('1 day'),
          groupBy('value'),
          aggregate({ rows: count(), places: collect('place', { max: 99 }) }),
          unnest('places', { as: 'place' }),
          to(files(at.output, { format: 'json' })),
        ),
      )
    await run(hours(lab), { objectsPerEpoch: 1 })
    const found = (await lab.rows()).map(({ value, rows, place }) => [value, rows, place])
    // Of the hour 0: b twice and a once, each beside ids 1, 1, 2; of hour 1 b, c beside 3, 3, 3; of hour 3 a beside 4.
    const places = (value: string, ...all: readonly number[]) =>
      all.map(place => [value, String(all.length), String(place)])
    expect(found).toEqual([...places('a', 1, 2, 3, 1), ...places('b', 1, 2, 3, 1, 2, 3), ...places('c', 1, 2, 3)])
    expect((await verify(hours(lab))).differences).toEqual([])
    const copy = lab.place('copy')
    await run(hours(copy), { ledger: lab.checkpoint, objectsPerEpoch: 9 })
    expect(await lab.rows(copy)).toEqual(await lab.rows())
  })
})

describe('beside functions of TypeScript', () => {
  test('rows are numbered on from one to the other, and stay in order', async () => {
    await write('a.jsonl', [
      { hour: 0, id: 1, tags: ['a', 'b'], items: null },
      { hour: 0, id: 2, tags: ['c'], items: null },
    ])
    const columns = { at: 'TIMESTAMP NOT NULL', id: 'BIGINT NOT NULL', tags: 'VARCHAR[]', n: 'INTEGER' } as const
    const copies = (at: Place) =>
      pipeline(
        'copies',
        { checkpoint: at.checkpoint },
        orders().pipe(
          mapRows(({ at, id, tags }) => [0, 1].map(n => ({ at, id, tags, n })), columns),
          unnest('tags', { as: 'tag' }),
          mapRows(({ id, n, tag }) => [`${id} ${n} ${tag}`, '-'].map(text => ({ text })), { text: 'VARCHAR' }),
          where("text <> '-' OR text = '-'"),
          to(files(at.output, { format: 'json' })),
        ),
      )
    await run(copies(lab))
    const texts = ['1 0 a', '1 0 b', '1 1 a', '1 1 b', '2 0 c', '2 1 c'].flatMap(text => [text, '-'])
    expect((await lab.rows()).map(({ text }) => text)).toEqual(texts)
    expect((await verify(copies(lab))).differences).toEqual([])
  })
})

describe('beside a union', () => {
  test('before it and behind it each element is a row of its own', async () => {
    await write('a.jsonl', [
      { hour: 0, id: 1, tags: ['a', 'b'], items: null },
      { hour: 0, id: 2, tags: ['c'], items: null },
    ])
    const head = orders().pipe(select('id', 'tags'))
    const both = (at: Place) =>
      pipeline(
        'both',
        { checkpoint: at.checkpoint },
        union(head.pipe(unnest('tags'), derive({ tags: ['VARCHAR[]', "[tags, tags || '!']"] })), head).pipe(
          unnest('tags', { as: 'tag' }),
          tumbling('1 hour'),
          aggregate({ tags: collect('tag', { max: 99 }) }),
          unnest('tags'),
          to(files(at.output, { format: 'json' })),
        ),
      )
    await run(both(lab))
    // Rows of one source row in the order of their ordinals: of the first input, then of the second.
    expect((await lab.rows()).map(({ tags }) => tags)).toEqual(['a', 'a!', 'a', 'b', 'b', 'b!', 'c', 'c!', 'c'])
    expect((await verify(both(lab))).differences).toEqual([])
  })
})

test('late elements lie in the late ledger, each told apart', async () => {
  const order = (hour: number): Order => ({ hour, id: hour, tags: ['a', 'b', 'a'], items: null })
  await write('a.jsonl', [order(4)])
  await write('b.jsonl', [order(1)])
  const tags = orders().pipe(unnest('tags'), tumbling('1 hour'), groupBy('tags'), aggregate({ n: count() }))
  const summary = await run(
    pipeline('late', { checkpoint: lab.checkpoint }, tags.pipe(to(files(lab.output, { format: 'json' })))),
    { objectsPerEpoch: 1 },
  )
  expect(summary.totals.late).toBe(3)
  const late = await lab.channels('late-')
  expect(late.map(({ _seq, _row, _ordinal, tags: tag }) => [_seq, _row, _ordinal, tag])).toEqual([
    ['2', '0', '0', 'a'],
    ['2', '0', '1', 'b'],
    ['2', '0', '2', 'a'],
  ])
})

describe('what does not fit', () => {
  const items = { sku: 'VARCHAR', qty: 'INTEGER' } as const
  const flow = (rescue?: 'odd') =>
    pipeline(
      'misfits',
      { checkpoint: lab.checkpoint },
      orders().pipe(
        unnest('items', { columns: items, ...(rescue === undefined ? {} : { rescue }) }),
        where("sku = 'b'"),
        to(files(join(lab.output, 'bought'), { format: 'json' })),
      ),
    )
  beforeEach(async () => {
    await write('a.jsonl', [{ hour: 0, id: 1, tags: null, items: [{ sku: 'b', qty: 1 }] }])
    const odd = {
      at: '2024-01-01 00:10:00',
      id: 2,
      items: [
        { sku: 'b', qty: 2 },
        { sku: 'c', qty: 'few' },
      ],
    }
    await lab.lines('b.jsonl', [JSON.stringify(odd)])
  })

  test('ends the run before its epoch counts, naming object, row, element and column', async () => {
    const error = await failure(run(flow(), { objectsPerEpoch: 1 }))
    expect(error).toMatchObject({ kind: 'fatal', code: 'expression' })
    expect(error.message).toMatch(/^object 'b.jsonl': .*Nothing of its epoch was counted/)
    expect(error.message).toContain(
      "unnest items: row 0 (at 2024-01-01 00:10:00, id 2, tags NULL), element 2: column 'qty': " +
        'expected INTEGER, found few.',
    )
    expect((await lab.head()).manifest.epoch).toBe(1)
  })

  test('with rescue lies beside the row, and the others count', async () => {
    await run(flow('odd'))
    const { rows } = await query(lab.checkpoint, 'SELECT id, qty, odd FROM output ORDER BY id')
    expect(rows).toEqual([
      { id: 1n, qty: 1, odd: null },
      { id: 2n, qty: 2, odd: null },
    ])
  })
})

test('explain shows its SQL, and the plan its options', async () => {
  const explained = await explain(
    pipeline(
      'shown',
      { checkpoint: lab.checkpoint },
      orders().pipe(unnest('tags', { as: 'tag' }), to(files(lab.output, { format: 'json' }))),
    ),
  )
  const [flow] = explained.flows
  expect(flow?.steps[1]).toEqual({ op: 'unnest', options: { column: 'tags', as: 'tag' } })
  expect(flow?.columns).toEqual({ at: 'TIMESTAMP NOT NULL', id: 'BIGINT NOT NULL', tag: 'VARCHAR', items: 'JSON' })
  expect(flow?.stages.at(-1)?.sql).toMatch(
    /unnest\(.*ORDER BY "_seq" ASC NULLS LAST, "_row" ASC NULLS LAST, "_ordinal"/s,
  )
})
