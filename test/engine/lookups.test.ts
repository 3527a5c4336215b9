/** Rows joined with a table that changes between epochs: each meets the version before its own entry (S25). */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join as pathOf } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import {
  aggregate,
  count,
  csv,
  derive,
  type FormatSpec,
  files,
  groupBy,
  join,
  json,
  lookup,
  parquet,
  type Pipeline,
  pipeline,
  query,
  source,
  sum,
  to,
  tumbling,
  verify,
} from '../../src/index.ts'
import { seededRandom } from '../../src/testing/index.ts'
import { seed } from '../seed.ts'
import { failure, type Lab, openLab, type Place, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  await mkdir(at('ref'))
})
afterEach(() => lab[Symbol.asyncDispose]())

const at = (name: string) => pathOf(lab.root, name)
const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row, Object.keys(row).toSorted())).toSorted()

const trips = () =>
  source('trips', {
    objects: lab.input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', fare: 'BIGINT' },
    time: 'at',
    watermark: { delay: '0s' },
    miniBatch: { every: '20ms' },
    reconcile: '20ms',
  })
interface Zones {
  readonly objects?: string
  readonly format?: FormatSpec
  readonly refresh?: '20ms'
}
const zones = ({ objects = at('ref/zones.csv'), format = csv(), refresh = '20ms' }: Zones = {}) =>
  lookup('zones', {
    objects,
    format,
    columns: { id: 'BIGINT NOT NULL', borough: 'VARCHAR', tax: 'BIGINT' },
    key: ['id'],
    refresh,
  })

/** Rows as they are; windows behind the lookup; the lookup behind windows. */
const taxed = (place: Place, of: Zones = {}): Pipeline => {
  const table = zones(of)
  const known = trips().pipe(join(table, { on: { zone: 'id' }, kind: 'left' }))
  return pipeline(
    'taxed',
    { checkpoint: place.checkpoint },
    known.pipe(to(files(`${place.output}/rows`, { format: 'parquet' }))),
    known.pipe(
      tumbling('1 hour'),
      groupBy('borough'),
      aggregate({ n: count(), tax: sum('tax') }),
      to(files(`${place.output}/by`, { format: 'parquet' })),
    ),
    known.pipe(
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ n: count() }),
      join(table, { on: { zone: 'id' } }),
      to(files(`${place.output}/behind`, { format: 'parquet' })),
    ),
  )
}
const outputs = ['rows', 'by', 'behind'] as const
const outputOf = (place: Place, name: string) => lab.rows({ ...place, output: `${place.output}/${name}` })

interface Zone {
  readonly id: number
  readonly borough: string | null
  readonly tax: number
}
interface Trip {
  /** Minutes since the beginning of 2024. */
  readonly minute: number
  readonly zone: number | null
  readonly fare: number
}

const timeOf = (minute: number) =>
  new Date(Date.UTC(2024, 0, 1) + minute * 60_000).toISOString().slice(0, 19).replace('T', ' ')
const csvOf = (table: readonly Zone[]) =>
  ['id,borough,tax', ...table.map(({ id, borough, tax }) => `${id},${borough ?? ''},${tax}`)].join('\n') + '\n'

async function place(file: string, text: string): Promise<void> {
  await mkdir(dirname(at(file)), { recursive: true })
  await writeFile(at(`${file}.new`), text)
  await rename(at(`${file}.new`), at(file))
}

const writeTrips = (key: string, all: readonly Trip[]) =>
  lab.lines(
    key,
    all.map(({ minute, zone, fare }) => JSON.stringify({ at: timeOf(minute), zone, fare })),
  )

/** A part of history: the table as it was then, and what came. */
interface Chapter {
  readonly table: readonly Zone[]
  readonly objects: readonly (readonly Trip[])[]
}

function history(random: () => number): readonly Chapter[] {
  const whole = (most: number) => Math.floor(random() * most)
  let minute = 0
  let table: readonly Zone[] = []
  return Array.from({ length: 4 }, (_, chapter) => {
    if (chapter === 0 || random() < 0.7)
      table = Array.from({ length: 6 }, (_, id) => ({
        id,
        borough: random() < 0.2 ? null : `b${whole(3)}`,
        tax: whole(100),
      })).filter(() => random() < 0.7)
    const objects = Array.from({ length: 1 + whole(3) }, () =>
      Array.from({ length: 1 + whole(8) }, () => {
        minute += whole(25)
        return { minute, zone: random() < 0.1 ? null : whole(7), fare: whole(50) }
      }),
    )
    return { table, objects }
  })
}

const texts = (rows: readonly Readonly<Record<string, string | number | null>>[]) =>
  sorted(
    rows.map(row =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value === null ? null : String(value)])),
    ),
  )

/** What is right, from the rule and nothing else. */
function expected(chapters: readonly Chapter[]): Readonly<Record<(typeof outputs)[number], readonly string[]>> {
  const rows = chapters.flatMap(({ table, objects }) =>
    objects.flat().map(trip => ({ trip, known: table.find(({ id }) => id === trip.zone) })),
  )
  const by = new Map<string, { hour: number; borough: string | null; n: number; tax: number | null }>()
  const behind = new Map<string, { hour: number; zone: number | null; n: number }>()
  for (const { trip, known } of rows) {
    const hour = Math.floor(trip.minute / 60)
    const borough = known?.borough ?? null
    const group = by.get(`${hour} ${borough}`) ?? { hour, borough, n: 0, tax: null }
    by.set(`${hour} ${borough}`, {
      ...group,
      n: group.n + 1,
      tax: known === undefined ? group.tax : (group.tax ?? 0) + known.tax,
    })
    const zone = behind.get(`${hour} ${trip.zone}`) ?? { hour, zone: trip.zone, n: 0 }
    behind.set(`${hour} ${trip.zone}`, { ...zone, n: zone.n + 1 })
  }
  const window = (hour: number) => ({ window_start: timeOf(hour * 60), window_end: timeOf(hour * 60 + 60) })
  // A window is given at the first object that ends at or after it, else by the flush.
  const closing = (hour: number) =>
    chapters.find(({ objects }) => objects.some(all => all.some(({ minute }) => minute >= hour * 60 + 60))) ??
    (chapters.at(-1) as Chapter)
  return {
    rows: texts(
      rows.map(({ trip, known }) => ({
        at: timeOf(trip.minute),
        zone: trip.zone,
        fare: trip.fare,
        borough: known?.borough ?? null,
        tax: known?.tax ?? null,
      })),
    ),
    by: texts([...by.values()].map(({ hour, ...group }) => ({ ...window(hour), ...group }))),
    behind: texts(
      [...behind.values()].flatMap(({ hour, zone, n }) => {
        const known = closing(hour).table.find(({ id }) => id === zone)
        return known ? [{ ...window(hour), zone, n, borough: known.borough, tax: known.tax }] : []
      }),
    ),
  }
}

describe('a row meets the version of the lookup before its own entry (S25)', () => {
  test.each([0, 1, 2, 3])('whatever the cut, in random histories; a replay meets the same: %i', async index => {
    const random = seededRandom(seed + index)
    const chapters = history(random)
    const cut = () => ({ objectsPerEpoch: 1 + Math.floor(random() * 4) })
    let object = 0
    const a = lab.place('a')
    for (const [number, { table, objects }] of chapters.entries()) {
      if (table !== chapters[number - 1]?.table) await place('ref/zones.csv', csvOf(table))
      for (const all of objects) await writeTrips(`${String(object++).padStart(3, '0')}.jsonl`, all)
      await run(taxed(a), { ...cut(), flush: number === chapters.length - 1 })
    }
    const right = expected(chapters)
    for (const name of outputs) expect(sorted(await outputOf(a, name)), name).toEqual(right[name])
    const versions = (await lab.channel('ledger', a)).filter(({ is }) => is === 'lookup')
    const changes = chapters.filter(({ table }, chapter) => table !== chapters[chapter - 1]?.table)
    expect(versions).toHaveLength(changes.length)

    // Nothing of the place is read again: the versions come from the ledger's own checkpoint.
    await rm(at('ref'), { recursive: true })
    const b = lab.place('b')
    await run(taxed(b), { ...cut(), ledger: a.checkpoint, checkpoint: b.checkpoint })
    for (const name of outputs) expect(sorted(await outputOf(b, name)), name).toEqual(right[name])
    // A replay has the versions as well, so that it can be replayed.
    expect(await verify(taxed(b))).toMatchObject({ differences: [], rows: expect.any(Number) })
    const views = await query(a.checkpoint, 'SELECT count(DISTINCT _version) AS n FROM lookup_zones')
    expect(Number(views.rows[0]?.n)).toBe(changes.filter(({ table }) => table.length > 0).length)
  })

  test('a version that nothing would meet is not recorded, and one that is read again is not a new one', async () => {
    const a = lab.place('a')
    await place('ref/zones.csv', csvOf([{ id: 1, borough: 'Queens', tax: 2 }]))
    await run(taxed(a))
    await writeTrips('0.jsonl', [{ minute: 5, zone: 1, fare: 3 }])
    await run(taxed(a))
    await place('ref/zones.csv', csvOf([{ id: 1, borough: 'Bronx', tax: 2 }]))
    expect((await run(taxed(a))).run.lookups).toEqual([{ lookup: 'zones', rows: 1, objects: 1 }])
    await writeTrips('1.jsonl', [{ minute: 95, zone: 1, fare: 3 }])
    await run(taxed(a))
    expect((await run(taxed(a))).run.lookups).toEqual([])
    const ledger = await lab.channel('ledger', a)
    expect(ledger.map(({ is, source: of }) => `${is} ${of}`)).toEqual([
      'lookup zones',
      'object trips',
      'flush trips',
      'lookup zones',
      'object trips',
      'flush trips',
    ])
  })
})

describe('how a lookup lies', () => {
  const trip = { minute: 5, zone: 2, fare: 3 }
  const borough = async (name: string, of: Zones) => {
    const there = lab.place(name)
    await run(taxed(there, of))
    return (await outputOf(there, 'rows')).map(row => row.borough)
  }

  test('in several objects of a folder, of any format, elsewhere for one run', async () => {
    await writeTrips('0.jsonl', [trip])
    await place('ref/a.csv', csvOf([{ id: 1, borough: 'Bronx', tax: 2 }]))
    await place('ref/b.csv', csvOf([{ id: 2, borough: 'Queens', tax: 2 }]))
    expect(await borough('csv', { objects: at('ref') })).toEqual(['Queens'])
    await place('json/z.jsonl', '{"id":2,"borough":"Staten Island"}\n')
    expect(await borough('json', { objects: at('json'), format: json() })).toEqual(['Staten Island'])
    await mkdir(at('par'))
    const made = await lab.parquet('z.parquet', `SELECT 2 AS id, 'Manhattan' AS borough, 1 AS tax`)
    await rename(made, at('par/z.parquet'))
    expect(await borough('parquet', { objects: at('par/z.parquet'), format: parquet() })).toEqual(['Manhattan'])
    const there = lab.place('there')
    await run(taxed(there), { input: { zones: at('ref/b.csv') } })
    expect((await outputOf(there, 'rows')).map(row => row.borough)).toEqual(['Queens'])
  })

  test.each([
    ['no object', 'none', 'lookup zones: nothing of it is at'],
    [
      'two rows of one key',
      'id,borough,tax\n1,a,1\n2,b,1\n1,c,1\n',
      '2 rows have the key id 1; expected one row for each key',
    ],
    [
      'a value that does not fit',
      'id,borough,tax\n1,a,1\n2,b,much\n',
      "object 'zones.csv', row 1, column 'tax': expected BIGINT, found 'much'",
    ],
    ['NULL in a key', 'id,borough,tax\n,a,1\n', "object 'zones.csv', row 0, column 'id'"],
    ['a missing column', 'id,tax\n1,1\n', "object 'zones.csv' cannot be read: column 'borough'"],
  ])('%s refuses the start, and nothing is read', async (_what, text, message) => {
    await writeTrips('0.jsonl', [trip])
    await place(text === 'none' ? 'ref/other.txt' : 'ref/zones.csv', text)
    const a = lab.place('a')
    const of = text === 'none' ? { objects: at('ref') } : {}
    expect((await failure(run(taxed(a, of)))).message).toContain(message)
    expect((await lab.head(a)).manifest.epoch).toBe(0)
  })
})

test('a table that is replaced while a start reads it is looked at again', async () => {
  const a = lab.place('a')
  await place('ref/zones.csv', csvOf([{ id: 1, borough: 'Bronx', tax: 2 }]))
  await writeTrips('0.jsonl', [{ minute: 5, zone: 1, fare: 3 }])
  let looks = 0
  const parts: Components = {
    ...components,
    async openInput(...asked) {
      const store = await components.openInput(...asked)
      return {
        ...store,
        async *list(...of) {
          const isZones = asked[0].endsWith('ref')
          for await (const version of store.list(...of)) {
            yield version
            // Between the look and the reading, the first two times.
            if (isZones && looks++ < 2)
              await place('ref/zones.csv', csvOf([{ id: 1, borough: `Queens${looks}`, tax: 2 }]))
          }
        },
      }
    },
  }
  await backfillWith(parts, taxed(a), { threads: 2, memory: '500MB' })
  expect((await outputOf(a, 'rows')).map(row => row.borough)).toEqual(['Queens2'])
})

describe('a run that follows its sources', () => {
  /** Follows until the work is done; it can wait for events. */
  async function following(
    place: Place,
    work: (until: (is: RunEvent['is'], times?: number) => Promise<void>) => Promise<void>,
  ) {
    const events: RunEvent[] = []
    let told = () => {}
    const drain = new AbortController()
    const ended = followWith(components, taxed(place), {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onEvent(event) {
        events.push(event)
        told()
      },
    })
    const until = async (is: RunEvent['is'], times = 1) => {
      while (events.filter(event => event.is === is).length < times)
        await Promise.race([new Promise<void>(resolve => (told = resolve)), ended])
    }
    await Promise.race([work(until), ended])
    drain.abort()
    await ended
    return events
  }

  test('meets a new version as soon as it is read; what is wrong with one is told, and the last one goes on', async () => {
    const a = lab.place('a')
    await place('ref/zones.csv', csvOf([{ id: 1, borough: 'Bronx', tax: 2 }]))
    await writeTrips('0.jsonl', [{ minute: 5, zone: 1, fare: 3 }])
    const events = await following(a, async until => {
      await until('epoch', 1)
      await place('ref/zones.csv', csvOf([{ id: 1, borough: 'Queens', tax: 2 }]))
      await until('lookup', 2)
      await writeTrips('1.jsonl', [{ minute: 65, zone: 1, fare: 3 }])
      await until('epoch', 2)
      await place('ref/zones.csv', 'id,borough,tax\n1,a,1\n1,b,1\n')
      await until('lookup-failed')
      await rm(at('ref/zones.csv'))
      await writeTrips('2.jsonl', [{ minute: 125, zone: 1, fare: 3 }])
      await until('epoch', 3)
    })
    const failures = events.flatMap(event => (event.is === 'lookup-failed' ? [event.error] : []))
    expect(failures[0]).toContain('2 rows have the key id 1')
    expect((await outputOf(a, 'rows')).map(row => row.borough)).toEqual(['Bronx', 'Queens', 'Queens'])
    // The version that is away was met: a replay meets it all the same.
    expect(await verify(taxed(a))).toMatchObject({ differences: [] })
    expect((await failure(run(taxed(a)))).message).toMatch(/lookup zones: |zones\.csv/)
  })
})

describe('refused', () => {
  test('a replay of a ledger that has no version of it', async () => {
    await place('ref/zones.csv', csvOf([{ id: 1, borough: 'Bronx', tax: 2 }]))
    await writeTrips('0.jsonl', [{ minute: 5, zone: 1, fare: 3 }])
    const [a, b] = [lab.place('a'), lab.place('b')]
    await run(pipeline('plain', { checkpoint: a.checkpoint }, trips().pipe(to(files(a.output, { format: 'json' })))))
    const error = await failure(run(taxed(b), { ledger: a.checkpoint }))
    expect(error.message).toContain('expected a ledger with versions of lookup zones, which the pipeline had then')
  })

  test('a replay with another key, by which a row would meet several of the same version', async () => {
    await place('ref/pairs.csv', 'id,name\n1,a\n1,b\n')
    await writeTrips('0.jsonl', [{ minute: 5, zone: 1, fare: 3 }])
    const [a, b] = [lab.place('a'), lab.place('b')]
    const columns = { id: 'BIGINT NOT NULL', name: 'VARCHAR NOT NULL' } as const
    const from = { objects: at('ref/pairs.csv'), format: csv(), columns }
    const [pairs, ids] = [lookup('pairs', { ...from, key: ['id', 'name'] }), lookup('pairs', { ...from, key: ['id'] })]
    const named = trips().pipe(derive({ is: ['VARCHAR', "'a'"] }), join(pairs, { on: { zone: 'id', is: 'name' } }))
    const end = (to_: Place) => to(files(to_.output, { format: 'json' }))
    await run(pipeline('p', { checkpoint: a.checkpoint }, named.pipe(end(a))))
    const other = pipeline('p', { checkpoint: b.checkpoint }, trips().pipe(join(ids, { on: { zone: 'id' } }), end(b)))
    expect((await failure(run(other, { ledger: a.checkpoint }))).message).toContain('written with the same lookup')
  })

  test('two things of one name', async () => {
    const other = lookup('trips', { objects: at('x'), format: csv(), columns: { id: 'BIGINT NOT NULL' }, key: ['id'] })
    const end = () => to(files(lab.output, { format: 'json' }))
    const named = (flow: Parameters<typeof pipeline>[2]) => failure(run(pipeline('p', { checkpoint: at('ck') }, flow)))
    expect((await named(trips().pipe(join(other, { on: { zone: 'id' } }), end()))).message).toContain(
      "another source is called 'trips' too",
    )
    const ids = lookup('zones', { objects: at('x'), format: csv(), columns: { id: 'BIGINT NOT NULL' }, key: ['id'] })
    const twice = trips().pipe(join(zones(), { on: { zone: 'id' } }), join(ids, { on: { fare: 'id' } }), end())
    expect((await named(twice)).message).toContain("another lookup is called 'zones' too")
    const like = lookup('ZONES', { objects: at('x'), format: csv(), columns: { id: 'BIGINT NOT NULL' }, key: ['id'] })
    const alike = trips().pipe(join(zones(), { on: { zone: 'id' } }), join(like, { on: { fare: 'id' } }), end())
    expect((await named(alike)).message).toContain("another lookup is called 'zones' too")
  })

  test('changes of results behind it', async () => {
    const flow = trips().pipe(
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ n: count() }),
      join(zones(), { on: { zone: 'id' } }),
      to(files(lab.output, { format: 'json' }), { emit: 'update' }),
    )
    const error = await failure(run(pipeline('p', { checkpoint: at('ck') }, flow)))
    expect(error.message).toContain('put it before the window')
  })
})
