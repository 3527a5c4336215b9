import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { concatMap, tap } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  batches,
  calendar,
  type Change,
  count,
  countDistinct,
  cumulative,
  dedupe,
  derive,
  files,
  filterRows,
  global,
  groupBy,
  hopping,
  json,
  pipeline,
  query,
  rename,
  rows,
  select,
  session,
  source,
  sum,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { drawn } from '../golden/drawn.ts'
import { failure, type Lab, openLab, outputFiles, type Place, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const minute = 60_000
const hour = 60 * minute
const delay = 2 * hour
const zero = Date.parse('2024-05-01T00:00:00Z')

interface InputRow {
  readonly t: number
  readonly zone: string | null
  readonly n: number
}

/** Objects in the order of their names: hours that go on, rows that come late or ahead of the others. */
async function makeInput(objects = 10): Promise<readonly (readonly InputRow[])[]> {
  const { random } = drawn()
  const made = Array.from({ length: objects }, (_, object) =>
    Array.from({ length: 40 }, (): InputRow => {
      const shift = random() < 0.15 ? -Math.floor(random() * 8 * hour) : Math.floor(random() * hour)
      const zone = ['a', 'b', null][Math.floor(random() * 3)] as string | null
      return { t: zero + object * hour + Math.floor(shift / minute) * minute, zone, n: Math.floor(random() * 21) - 10 }
    }),
  )
  for (const [object, found] of made.entries())
    await lab.lines(
      `f${String(object).padStart(2, '0')}.jsonl`,
      found.map(({ t, zone, n }) => JSON.stringify({ t: timeOf(t), zone, n })),
    )
  return made
}

const timeOf = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')

const trips = () =>
  source('trips', {
    objects: lab.input,
    format: json(),
    columns: { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', n: 'BIGINT' },
    time: 't',
    watermark: { delay: '2 hours' },
  })

type Windows = (t: number) => readonly { readonly start: number; readonly end: number }[]

interface Group {
  readonly start: number
  readonly end: number
  readonly zone: string | null
  readonly ns: number[]
}

/** The groups of all rows of the first objects that are on time: by the rules, not by SQL. */
function groupsOf(input: readonly (readonly InputRow[])[], windows: Windows): readonly Group[] {
  const groups = new Map<string, Group>()
  let watermark = Number.NEGATIVE_INFINITY
  for (const object of input) {
    for (const { t, zone, n } of object)
      for (const { start, end } of windows(t)) {
        if (end <= watermark) continue
        const key = JSON.stringify([end, zone])
        const group = groups.get(key) ?? { start, end, zone, ns: [] }
        group.ns.push(n)
        groups.set(key, group)
      }
    watermark = Math.max(watermark, Math.max(...object.map(({ t }) => t)) - delay)
  }
  return [...groups.values()]
}

const sumOf = ({ ns }: Group) => ns.reduce((a, b) => a + b, 0)
const below = (t: number, size: number) => Math.floor(t / size) * size

const windowKinds: readonly {
  readonly name: string
  readonly window: (rows: never) => unknown
  readonly windows: Windows
}[] = [
  {
    name: 'tumbling',
    window: tumbling('1 hour') as never,
    windows: t => [{ start: below(t, hour), end: below(t, hour) + hour }],
  },
  {
    name: 'hopping',
    window: hopping('2 hours', '30 minutes') as never,
    windows: t =>
      [0, 1, 2, 3].map(back => {
        const start = below(t, hour / 2) - (back * hour) / 2
        return { start, end: start + 2 * hour }
      }),
  },
  {
    name: 'cumulative',
    window: cumulative('4 hours', '1 hour') as never,
    windows: t => {
      const start = below(t, 4 * hour)
      return [1, 2, 3, 4].map(hours => ({ start, end: start + hours * hour })).filter(({ end }) => end > t)
    },
  },
  {
    name: 'calendar',
    window: calendar('hour', { timeZone: 'Europe/Paris' }) as never,
    windows: t => [{ start: below(t, hour), end: below(t, hour) + hour }],
  },
  { name: 'global', window: global({ unbounded: true }) as never, windows: () => [{ start: 0, end: Infinity }] },
]

/** Every change of a place's output, as JSON has it, in the order of its files. */
async function changesAt(output: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const texts = await Promise.all(
    (await outputFiles(output)).toSorted().map(file => readFile(join(output, file), 'utf8')),
  )
  return texts.flatMap(text => text.split('\n').flatMap(line => (line === '' ? [] : [JSON.parse(line)])))
}

/** The last epoch whose entries are among the first objects, by object. */
async function epochsOf(at: Place): Promise<readonly number[]> {
  const ledger = await lab.channel('ledger', at)
  return ledger
    .filter(({ outcome }) => outcome === 'read')
    .toSorted((a, b) => Number(a.seq) - Number(b.seq))
    .map(({ epoch }) => Number(epoch))
}

/** Applies changes to a view, each of which must fit it: what is new or another comes, and what is there goes. */
function applyTo(view: Map<string, string>, changes: readonly Readonly<Record<string, unknown>>[], key: string[]) {
  for (const { _op, _epoch, ...row } of changes) {
    const id = JSON.stringify(key.map(name => row[name]))
    const text = JSON.stringify(row)
    if (_op === 'delete') {
      expect(view.get(id), 'a delete has the row as it was').toBe(text)
      view.delete(id)
    } else {
      expect(view.get(id), 'an upsert changes something').not.toBe(text)
      view.set(id, text)
    }
  }
}

describe('what an epoch changes of results', () => {
  test.each(windowKinds)(
    'the latest view equals the answer over what was accepted, at every commit and in every cut: $name',
    async ({ name, window, windows }) => {
      const input = await makeInput()
      const isTimed = name !== 'global'
      for (const objectsPerEpoch of [1, 5]) {
        const at = lab.place(`cut-${objectsPerEpoch}`)
        const flow = (trips() as never as { pipe(...steps: unknown[]): never }).pipe(
          window,
          groupBy('zone' as never),
          aggregate({ trips: count(), s: sum('n' as never), kinds: countDistinct('n' as never) }),
          where('s BETWEEN -12 AND 12' as never),
          derive({ twice: ['BIGINT', '2 * s' as string] } as never),
          rename({ zone: 'place' } as never),
          to(files(at.output, { format: 'json' }), { emit: 'update' }),
        )
        const flows = pipeline('changing', { checkpoint: at.checkpoint }, flow)
        expect((await run(flows, { objectsPerEpoch })).untilTheEnd).toEqual([])
        const changes = await changesAt(at.output)
        const epochs = await epochsOf(at)
        const view = new Map<string, string>()
        for (const epoch of new Set(epochs)) {
          applyTo(
            view,
            changes.filter(({ _epoch }) => _epoch === epoch),
            ['window_end', 'place'],
          )
          const accepted = input.slice(0, epochs.lastIndexOf(epoch) + 1)
          const wanted = groupsOf(accepted, windows)
            .filter(group => Math.abs(sumOf(group)) <= 12)
            .map(group => ({
              ...(isTimed && { window_start: timeOf(group.start), window_end: timeOf(group.end) }),
              place: group.zone,
              trips: group.ns.length,
              s: sumOf(group),
              kinds: new Set(group.ns).size,
              twice: 2 * sumOf(group),
            }))
            .map(row => JSON.stringify(row))
          expect([...view.values()].toSorted(), `${name}, epoch ${epoch}`).toEqual(wanted.toSorted())
        }
        // A flush, which only closes windows, changes nothing.
        expect(Math.max(...changes.map(({ _epoch }) => Number(_epoch)))).toBeLessThanOrEqual(Math.max(...epochs))
        if (objectsPerEpoch === 1) expect(changes.some(({ _op }) => _op === 'delete')).toBe(true)
      }
    },
  )
})

/** Sums by zone and hour: changes of those below a limit, and beside them those that are final. */
const sums = (at: Place, options: { readonly limit?: number; readonly isHeld?: boolean } = {}) => {
  const { limit = 12, isHeld = false } = options
  const hours = trips().pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count(), s: sum('n') }))
  const hold = isHeld ? ({ targetSize: '1MB', maxDelay: '1 hour' } as const) : {}
  return pipeline(
    'sums',
    { checkpoint: at.checkpoint },
    hours.pipe(
      where(`s < ${limit}` as string),
      to(files(join(at.output, 'now'), { format: 'parquet', ...hold }), { emit: 'update' }),
    ),
    hours.pipe(to(files(join(at.output, 'final'), { format: 'parquet' }))),
  )
}

const found = (at: Place, folder: string) =>
  lab.sql(`SELECT * FROM read_parquet(${quoted(join(at.output, folder, '*.parquet'))}) ORDER BY ALL`)

test('a flow of results that are final shares the state, and gives what it gives alone', async () => {
  await makeInput()
  const at = lab.place('both')
  await run(sums(at), { objectsPerEpoch: 2 })
  const { manifest } = await lab.head(at)
  expect(Object.keys(manifest.channels).filter(name => name.startsWith('late-'))).toHaveLength(1)
  const alone = lab.place('alone')
  const flow = trips().pipe(
    tumbling('1 hour'),
    groupBy('zone'),
    aggregate({ trips: count(), s: sum('n') }),
    to(files(join(alone.output, 'final'), { format: 'parquet' })),
  )
  await run(pipeline('alone', { checkpoint: alone.checkpoint }, flow), { objectsPerEpoch: 2 })
  expect(await found(at, 'final')).toEqual(await found(alone, 'final'))
  // When all windows are closed, the latest view is what they gave.
  const { rows: latest } = await query(at.checkpoint, 'SELECT * FROM latest_flow_1 ORDER BY ALL')
  const { rows: final } = await query(at.checkpoint, 'SELECT * FROM output_flow_2 WHERE s < 12 ORDER BY ALL')
  expect(latest).toEqual(final)
  expect(latest.length).toBeGreaterThan(5)
  expect((await query(at.checkpoint, 'SELECT * FROM latest ORDER BY ALL')).rows).toEqual(latest)
})

test('a replay in another cut gives other changes, which come to the same; verify compares that', async () => {
  await makeInput()
  const at = lab.place('first')
  await run(sums(at), { objectsPerEpoch: 1 })
  const again = lab.place('again')
  await run(sums(again), { ledger: at.checkpoint, objectsPerEpoch: 4 })
  expect((await found(again, 'now')).length).toBeLessThan((await found(at, 'now')).length)
  const latest = async (checkpoint: string) => (await query(checkpoint, 'SELECT * FROM latest ORDER BY ALL')).rows
  expect(await latest(again.checkpoint)).toEqual(await latest(at.checkpoint))
  const verified = await verify(sums(at))
  expect(verified.differences).toEqual([])
  const { rows: both } = await query(
    at.checkpoint,
    'SELECT (SELECT count(*) FROM latest) + (SELECT count(*) FROM output_flow_2) AS n',
  )
  expect(verified.rows).toBe(Number(both[0]?.n))
})

test('changes that are held for large files come to the same', async () => {
  await makeInput()
  const plain = lab.place('plain')
  await run(sums(plain), { objectsPerEpoch: 1 })
  const held = lab.place('held')
  await run(sums(held, { isHeld: true }), { objectsPerEpoch: 1 })
  expect(await outputFiles(join(held.output, 'now'))).toHaveLength(1)
  expect(await found(held, 'now')).toEqual(await found(plain, 'now'))
  expect((await verify(sums(held, { isHeld: true }))).differences).toEqual([])
})

describe('snapshots', () => {
  const withSnapshots = (at: Place, format: 'json' | 'parquet' | 'csv', every: number | '1 hour') =>
    pipeline(
      'snapshots',
      { checkpoint: at.checkpoint },
      trips().pipe(
        tumbling('1 hour'),
        groupBy('zone'),
        aggregate({ trips: count(), s: sum('n') }),
        where('s < 12'),
        to(files(at.output, { format, snapshot: { every } }), { emit: 'update' }),
      ),
    )
  const snapshotsOf = async (at: Place) =>
    (await readdir(join(at.output, 'snapshot')).catch(() => [])).filter(name => name.startsWith('part-')).toSorted()
  const read = {
    json: (files: string) =>
      `read_json(${files}, columns = {window_start: 'TIMESTAMP', window_end: 'TIMESTAMP', zone: 'VARCHAR', trips: 'BIGINT', s: 'DECIMAL(38,0)'})`,
    csv: (files: string) => `read_csv(${files}, nullstr = '', allow_quoted_nulls = false)`,
    parquet: (files: string) => `read_parquet(${files})`,
  }

  test.each(['json', 'parquet', 'csv'] as const)(
    'have all results of their epoch, whole, in the form of the changes: %s',
    async format => {
      await makeInput()
      const at = lab.place(format)
      await run(withSnapshots(at, format, 2), { objectsPerEpoch: 1, flush: false })
      const names = await snapshotsOf(at)
      const extension = format === 'json' ? 'jsonl' : format
      // The last one and the one before it.
      expect(names).toEqual([`part-00000008-flow-1.${extension}`, `part-00000010-flow-1.${extension}`])
      for (const name of names) {
        const epoch = Number(name.slice(5, 13))
        const all = await lab.sql(
          `SELECT window_start, window_end, zone, trips, s FROM ${read[format](quoted(join(at.output, 'snapshot', name)))} ORDER BY ALL`,
        )
        const { rows: wanted } = await query(
          at.checkpoint,
          `SELECT COLUMNS(c -> c NOT IN ('_op', '_epoch'))::VARCHAR FROM (SELECT * FROM output WHERE _epoch <= ${epoch}
             QUALIFY row_number() OVER (PARTITION BY window_start, zone ORDER BY _epoch DESC) = 1) WHERE _op = 'upsert' ORDER BY window_start, window_end, zone`,
        )
        expect(all).toEqual(wanted)
        expect(all.length).toBeGreaterThan(5)
      }
      // They are no changes: neither sql nor verify reads them as such.
      expect((await verify(withSnapshots(at, format, 2))).differences).toEqual([])
    },
  )

  test('go on over restarts, and a backfill that ends with a flush writes the last one', async () => {
    await makeInput()
    const at = lab.place('restarts')
    const flows = withSnapshots(at, 'json', 3)
    await run(flows, { objectsPerEpoch: 1, flush: false, input: join(lab.input, 'f0[0-4].jsonl') })
    expect(await snapshotsOf(at)).toEqual(['part-00000003-flow-1.jsonl'])
    await run(flows, { objectsPerEpoch: 1 })
    const names = await snapshotsOf(at)
    const last = names.at(-1) as string
    const { epoch } = (await lab.head(at)).manifest
    expect(Number(last.slice(5, 13))).toBe(epoch)
    const { rows: wanted } = await query(at.checkpoint, 'SELECT count(*) AS n FROM latest')
    expect((await readFile(join(at.output, 'snapshot', last), 'utf8')).trim().split('\n')).toHaveLength(
      Number(wanted[0]?.n),
    )
  })

  test('are refused where they cannot be one file of all results, or nothing changes', async () => {
    const expected = 'as a snapshot is one file of all results'
    const snapshot = { every: 3 }
    expect((await failure(() => files('out', { format: 'json', snapshot, partitionBy: ['a'] }))).message).toContain(
      expected,
    )
    expect((await failure(() => files('out', { format: 'json', snapshot, targetSize: '1MB' }))).message).toContain(
      expected,
    )
    expect((await failure(() => to(files('out', { format: 'json', snapshot })))).message).toContain(
      "none without emit: 'update'",
    )
  })
})

test('rows() and batches() hand over changes, in the order of their epochs', async () => {
  await makeInput(4)
  const at = lab.place('handed')
  const taken: Change<{ window_start: 'TIMESTAMP NOT NULL'; zone: 'VARCHAR'; trips: 'BIGINT NOT NULL' }>[] = []
  const batched: { readonly epoch: number; readonly rows: number }[] = []
  const hours = trips().pipe(
    tumbling('1 hour'),
    groupBy('zone'),
    aggregate({ trips: count() }),
    select('window_start', 'zone', 'trips'),
  )
  const flows = pipeline(
    'handed',
    { checkpoint: at.checkpoint },
    hours.pipe(
      rows({ emit: 'update' }),
      tap(row => void taken.push(row)),
    ),
    hours.pipe(
      batches({ emit: 'update' }),
      concatMap(async ({ epoch, rows }) => {
        expect(new Set(rows.map(({ _epoch }) => Number(_epoch)))).toEqual(new Set([epoch]))
        batched.push({ epoch, rows: rows.length })
      }),
    ),
  )
  await run(flows, { objectsPerEpoch: 1 })
  const ops = taken.map(({ _op, _epoch }) => `${_op} ${_epoch}`)
  expect(new Set(ops)).toEqual(new Set(['upsert 1', 'upsert 2', 'upsert 3', 'upsert 4']))
  expect(ops).toEqual(ops.toSorted())
  expect(batched).toEqual(
    [1, 2, 3, 4].map(epoch => ({ epoch, rows: ops.filter(op => op.endsWith(` ${epoch}`)).length })),
  )
})

test('whether a flow gives changes is part of its plan', async () => {
  await makeInput(3)
  const at = lab.place('plan')
  const hours = (emit: 'final' | 'update') =>
    pipeline(
      'plan',
      { checkpoint: at.checkpoint },
      trips().pipe(
        tumbling('1 hour'),
        aggregate({ trips: count() }),
        to(files(at.output, { format: 'json' }), { emit }),
      ),
    )
  await run(hours('update'))
  const { message } = await failure(run(hours('final')))
  expect(message).toContain("flow-1: to emit: was 'update', is now absent")
})

test('a view of changes is there before the first of them', async () => {
  await makeInput(2)
  const at = lab.place('none')
  await run(sums(at, { limit: -1_000 }))
  expect((await query(at.checkpoint, 'SELECT * FROM latest')).rows).toEqual([])
})

describe('changes are refused where', () => {
  const refused = async (...steps: readonly unknown[]) => {
    const flow = (trips() as never as { pipe(...all: unknown[]): never }).pipe(
      ...steps,
      to(files(lab.output, { format: 'json' }), { emit: 'update' }),
    )
    return (await failure(run(pipeline('refused', { checkpoint: lab.checkpoint }, flow)))).message
  }
  const hours = [tumbling('1 hour') as never, groupBy('zone' as never), aggregate({ s: sum('n' as never) })]

  test('nothing is aggregated', async () => {
    expect(await refused(where('n > 0' as never))).toContain(
      "to: emit: 'update' needs results that change; add a window",
    )
  })
  test('a row, or a session, is given once', async () => {
    expect(await refused(dedupe('zone' as never, '1 hour'))).toContain(
      "to: emit: 'update' cannot follow dedupe, whose rows are given once",
    )
    expect(await refused(session('1 hour') as never, ...hours.slice(1))).toContain(
      "to: emit: 'update' cannot follow aggregate over session(...), whose rows are given once",
    )
  })
  test('another step has taken the results', async () => {
    expect(
      await refused(
        ...hours,
        tumbling('1 day') as never,
        groupBy('zone' as never),
        aggregate({ d: sum('s' as never) }),
      ),
    ).toContain("to: emit: 'update' is for one step that keeps state, and here are aggregate and aggregate")
    expect(await refused(...hours, dedupe('zone' as never, '1 day'))).toContain('and here are aggregate and dedupe')
  })
  test('they do not tell any more of which group they are', async () => {
    const lost = "to: emit: 'update' tells results apart by their column"
    expect(await refused(...hours, select('window_start' as never, 's' as never))).toContain(
      `${lost} 'zone', which select does not hand on`,
    )
    expect(await refused(...hours, select('zone' as never, 's' as never))).toContain(
      `${lost} 'window_start' or 'window_end', which select does not hand on`,
    )
    expect(await refused(...hours, derive({ zone: ['VARCHAR', "'all'"] } as never))).toContain(
      `${lost} 'zone', which derive does not hand on`,
    )
    expect(
      await refused(
        ...hours,
        filterRows(() => true),
      ),
    ).toContain("to: emit: 'update' cannot look behind filterRows, whose rows may be any")
  })
  test('windows that begin together have only their start', async () => {
    expect(
      await refused(
        cumulative('4 hours', '1 hour') as never,
        aggregate({ s: sum('n' as never) }),
        select('window_start' as never, 's' as never),
      ),
    ).toContain("tells results apart by their column 'window_end', which select does not hand on")
  })
})
