import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cumulativeWindows } from '../../operators/cumulative.ts'
import { hoppingWindows } from '../../operators/hopping.ts'
import { tumblingWindows } from '../../operators/tumbling.ts'
import type { WindowAssigner } from '../../src/plan/window.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'

// Windows as SQL, run by DuckDB and compared twice: with windows drawn in ASCII, and with a row-by-row enumeration of
// small windows around zero. A column of a drawing, and a unit of the enumeration, is a microsecond.

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

type Ends = readonly bigint[]

interface Drawing {
  readonly timeUs: bigint
  readonly watermarkUs: bigint | null
  readonly open: Ends
  readonly late: Ends
}

/**
 * `0` in the line `zero` is the epoch, `x` the row, `W` the watermark before its object. `[` is a window's start and
 * `)` its end, which is outside; the word after it says what becomes of the row there.
 */
function parse(drawing: string): Drawing {
  const lines = drawing.split('\n').filter(line => line.trim() !== '')
  const column = (name: string, mark: string) => {
    const line = lines.find(text => text.trimStart().startsWith(`${name} `))
    const at = line?.lastIndexOf(mark) ?? -1
    return line === undefined || at === -1 ? null : BigInt(at)
  }
  const zero = column('zero', '0') ?? 0n
  const timeUs = (column('row', 'x') ?? 0n) - zero
  const mark = column('mark', 'W')
  const windows = lines.flatMap(line => {
    const [start, end] = [line.indexOf('['), line.indexOf(')')]
    return start === -1
      ? []
      : [{ start: BigInt(start) - zero, end: BigInt(end) - zero, word: line.slice(end + 1).trim() }]
  })
  for (const { start, end } of windows)
    if (timeUs < start || timeUs >= end) throw new Error(`The window [${start}, ${end}) does not hold the row.`)
  const ends = (word: string) => windows.filter(window => window.word === word).map(({ end }) => end)
  if (ends('open').length + ends('late').length !== windows.length) throw new Error('A window is open or late.')
  return { timeUs, watermarkUs: mark === null ? null : mark - zero, open: ends('open'), late: ends('late') }
}

const drawn: readonly { name: string; windows: WindowAssigner; drawing: string }[] = [
  {
    name: 'a row on the start of a tumbling window belongs to it, not to the one that ends there',
    windows: tumblingWindows(4n),
    drawing: `
      zero       0
      row            x
                     [===)  open`,
  },
  {
    name: 'the last microsecond of a tumbling window; the watermark at its end has closed it (S8)',
    windows: tumblingWindows(4n),
    drawing: `
      zero       0
      row           x
      mark           W
                 [===)  late`,
  },
  {
    name: 'one microsecond before the end it is still open',
    windows: tumblingWindows(4n),
    drawing: `
      zero       0
      row           x
      mark          W
                 [===)  open`,
  },
  {
    name: 'before 1970 windows align by floor, not toward zero (S9)',
    windows: tumblingWindows(4n),
    drawing: `
      zero         0
      row         x
               [===)  open`,
  },
  {
    name: 'hopping: a row counts in each window that holds it; the earliest is on top',
    windows: hoppingWindows(6n, 2n),
    drawing: `
      zero       0
      row            x
                 [=====)      open
                   [=====)    open
                     [=====)  open`,
  },
  {
    name: 'hopping: late in the windows that the watermark has closed, counted in the others (S9)',
    windows: hoppingWindows(6n, 2n),
    drawing: `
      zero       0
      row            x
      mark              W
                 [=====)      late
                   [=====)    open
                     [=====)  open`,
  },
  {
    name: 'hopping: late in all of them',
    windows: hoppingWindows(6n, 2n),
    drawing: `
      zero       0
      row            x
      mark                 W
                 [=====)      late
                   [=====)    late
                     [=====)  late`,
  },
  {
    name: 'a size that is no multiple of the distance: a row has two windows or three',
    windows: hoppingWindows(7n, 3n),
    drawing: `
      zero       0
      row              x
                 [======)        open
                    [======)     open
                       [======)  open`,
  },
  {
    name: 'one microsecond later the first of them no longer holds the row',
    windows: hoppingWindows(7n, 3n),
    drawing: `
      zero       0
      row               x
      mark                 W
                    [======)     late
                       [======)  open`,
  },
  {
    name: 'cumulative: a row counts in each window of its start that ends after it',
    windows: cumulativeWindows(9n, 3n),
    drawing: `
      zero       0
      row            x
                 [=====)     open
                 [========)  open`,
  },
  {
    name: 'cumulative: late in those that the watermark has closed, counted in the longer ones (S9)',
    windows: cumulativeWindows(9n, 3n),
    drawing: `
      zero       0
      row        x
      mark              W
                 [==)        late
                 [=====)     late
                 [========)  open`,
  },
  {
    name: 'cumulative: the last microsecond has the longest window only; the next one begins anew',
    windows: cumulativeWindows(9n, 3n, 2n),
    drawing: `
      zero       0
      row                  x
      mark         W
                   [========)  open`,
  },
  {
    name: 'cumulative before 1970, moved by an offset: late in all of them',
    windows: cumulativeWindows(9n, 3n, 2n),
    drawing: `
      zero             0
      row          x
      mark               W
                [=====)     late
                [========)  late`,
  },
  {
    name: 'the same before 1970, across zero',
    windows: hoppingWindows(7n, 3n),
    drawing: `
      zero             0
      row             x
      mark              W
                 [======)        late
                    [======)     open`,
  },
]

describe('windows as drawn', () => {
  test.each(drawn)('$name', async ({ windows, drawing }) => {
    const { timeUs, watermarkUs, open, late } = parse(drawing)
    const [found] = await evaluate(windows, [{ id: 0n, timeUs, watermarkUs }], null, null)
    expect(found).toMatchObject({ accepted: open.length > 0, late, open })
  })
})

// ---- The enumeration. -----------------------------------------------------------------------------------------

const sizes = [
  [1n, 1n],
  [5n, 5n],
  [12n, 12n],
  [10n, 5n],
  [10n, 2n],
  [7n, 2n],
  [7n, 3n],
  [6n, 4n],
  [9n, 8n],
  [5n, 1n],
] as const
/** How far windows are moved, on top of each of these. */
const offsets = [
  [5n, 5n, 2n],
  [10n, 5n, 3n],
  [7n, 3n, 1n],
  [6n, 4n, 3n],
] as const

const times = Array.from({ length: 33 }, (_, index) => BigInt(index - 16))
const watermarks = [null, ...Array.from({ length: 45 }, (_, index) => BigInt(index - 18))]
const rows: readonly Row[] = times
  .flatMap(timeUs => watermarks.map(watermarkUs => ({ timeUs, watermarkUs })))
  .map((row, index) => ({ ...row, id: BigInt(index) }))

interface Row {
  readonly id: bigint
  readonly timeUs: bigint
  readonly watermarkUs: bigint | null
}

interface Window {
  readonly start: bigint
  readonly end: bigint
}

/** The windows [start, end) that hold t, by their ends; start less the offset is a multiple of `every` (S9). */
function hoppingOf(t: bigint, size: bigint, every: bigint, offset: bigint): readonly Window[] {
  const found: Window[] = []
  for (let start = t - size + 1n; start <= t; start++)
    if ((start - offset) % every === 0n) found.push({ start, end: start + size })
  return found
}

/** The same of windows that begin where those of `size` do and end at each further `every`. */
function cumulativeOf(t: bigint, size: bigint, every: bigint, offset: bigint): readonly Window[] {
  const found: Window[] = []
  for (const { start, end: last } of hoppingOf(t, size, size, offset))
    for (let end = start + every; end <= last; end += every) if (end > t) found.push({ start, end })
  return found
}

/** Tumbling where both are equal, besides hopping: the two must agree. */
const assigners: readonly { name: string; windows: WindowAssigner; of(t: bigint): readonly Window[] }[] = [
  ...[...sizes.map(([size, every]) => [size, every, 0n] as const), ...offsets].flatMap(([size, every, offset]) => [
    {
      name: `hopping ${size} every ${every} from ${offset}`,
      windows: hoppingWindows(size, every, offset),
      of: (t: bigint) => hoppingOf(t, size, every, offset),
    },
    ...(size === every
      ? [
          {
            name: `tumbling ${size} from ${offset}`,
            windows: tumblingWindows(size, offset),
            of: (t: bigint) => hoppingOf(t, size, every, offset),
          },
        ]
      : []),
  ]),
  ...(
    [
      [1n, 1n, 0n],
      [5n, 5n, 2n],
      [12n, 4n, 0n],
      [12n, 3n, 7n],
      [7n, 1n, 5n],
      [10n, 5n, 3n],
    ] as const
  ).map(([size, every, offset]) => ({
    name: `cumulative ${size} by ${every} from ${offset}`,
    windows: cumulativeWindows(size, every, offset),
    of: (t: bigint) => cumulativeOf(t, size, every, offset),
  })),
]

describe.each(assigners)('$name, row by row', ({ windows, of }) => {
  const isLate = (end: bigint, { watermarkUs }: Row) => watermarkUs !== null && end <= watermarkUs
  const openOf = (row: Row) => of(row.timeUs).filter(({ end }) => !isLate(end, row))
  const openEnds = (row: Row) => openOf(row).map(({ end }) => end)

  test('a row is accepted when a window of it is open, and late in those that are closed (S8)', async () => {
    const found = await evaluate(windows, rows, null, null)
    expect(found.map(({ accepted }) => accepted)).toEqual(rows.map(row => openOf(row).length > 0))
    expect(found.map(({ late }) => late)).toEqual(
      rows.map(row =>
        of(row.timeUs)
          .map(({ end }) => end)
          .filter(end => isLate(end, row)),
      ),
    )
  })

  test('the windows of its partial row are the open ones: every row once in each, and in no other (S9)', async () => {
    const found = await evaluate(windows, rows, null, null)
    expect(found.map(({ open }) => open)).toEqual(rows.map(openEnds))
  })

  test('the start of a window follows from its end', async () => {
    const all = times.flatMap(of)
    const values = all.map(({ end }, index) => `(${index}, ${end}::BIGINT)`).join(', ')
    const found = await db.rows(`SELECT ${windows.startOf('e')} AS s FROM (VALUES ${values}) AS r(i, e) ORDER BY i`)
    expect(found.map(({ s }) => s)).toEqual(all.map(({ start }) => start))
  })

  test('a move of the watermark takes the windows that end in (from, to], so each window once (P11)', async () => {
    for (const [fromUs, toUs] of [
      [null, -5n],
      [-5n, 0n],
      [0n, 4n],
      [4n, 11n],
      [11n, null],
      [3n, 3n],
    ] as const) {
      const found = await evaluate(windows, rows, fromUs, toUs)
      const isTaken = (end: bigint) => (fromUs === null || end > fromUs) && (toUs === null || end <= toUs)
      expect(found.map(({ open }) => open)).toEqual(rows.map(row => openEnds(row).filter(isTaken)))
    }
  })

  test('a partial row gives nothing before its first window closes, and is dead when the last one does (P11)', async () => {
    const found = await evaluate(windows, rows, null, null)
    expect(found.map(({ closesAt }) => closesAt)).toEqual(rows.map(row => openEnds(row).at(-1) ?? null))
    expect(found.map(({ emitsFrom }) => emitsFrom)).toEqual(rows.map(row => openEnds(row)[0] ?? null))
  })

  test('flushAt is the largest end among open windows that start at or below M; else NULL (S6)', async () => {
    for (const highMarkUs of [-9n, -1n, 0n, 3n, 8n, 15n]) {
      const found = await evaluate(windows, rows, null, null, highMarkUs)
      const largest = (row: Row) => openOf(row).findLast(({ start }) => start <= highMarkUs)?.end ?? null
      expect(found.map(({ flushAt }) => flushAt)).toEqual(rows.map(largest))
    }
  })

  test('firstEnd is the end of the first window that holds a time', () => {
    expect(times.map(windows.firstEnd)).toEqual(times.map(timeUs => of(timeUs)[0]?.end))
  })
})

test('times of real clocks, and of 146,000 years away, stay inside BIGINT', async () => {
  const limit = 2n ** 62n
  const hour = 3_600_000_000n
  const real = [limit, -limit, 1_640_995_200_000_000n, -1n].map((timeUs, index) => ({
    id: BigInt(index),
    timeUs,
    watermarkUs: null,
  }))
  const floor = (t: bigint, step: bigint) => t - (((t % step) + step) % step)
  const found = await evaluate(tumblingWindows(hour), real, null, null)
  expect(found.map(({ open }) => open)).toEqual(real.map(({ timeUs }) => [floor(timeUs, hour) + hour]))
  const hops = await evaluate(hoppingWindows(24n * hour, hour), real, null, null)
  for (const [index, { open }] of hops.entries()) {
    expect(open).toHaveLength(24)
    expect(open[0]).toBe(floor((real[index] as Row).timeUs, hour) + hour)
  }
})

interface Evaluated {
  readonly accepted: boolean
  readonly late: Ends
  /** Ends of the windows of the row's own partial row. */
  readonly open: Ends
  readonly closesAt: bigint | null
  readonly emitsFrom: bigint | null
  readonly flushAt: bigint | null
}

const tables = new Map<readonly Row[], string>()

/** The rows as a table, once. */
async function tableOf(input: readonly Row[]): Promise<string> {
  const known = tables.get(input)
  if (known !== undefined) return known
  const name = `rows_${tables.size}`
  const values = input.map(({ id, timeUs, watermarkUs }) => `(${id}, ${timeUs}, ${watermarkUs ?? 'NULL'})`)
  await db.rows(`CREATE TABLE ${name} (id BIGINT, t BIGINT, w BIGINT)`)
  await db.rows(`INSERT INTO ${name} VALUES ${values.join(', ')}`)
  tables.set(input, name)
  return name
}

/** What DuckDB makes of the assigner's SQL for each row, as if each row were an epoch of its own. */
async function evaluate(
  windows: WindowAssigner,
  input: readonly Row[],
  fromUs: bigint | null,
  toUs: bigint | null,
  highMarkUs = 0n,
): Promise<readonly Evaluated[]> {
  const table = await tableOf(input)
  const panes = windows.panes('t', 'w').map((sql, index) => `${sql} AS ${windows.paneColumns[index]}`)
  const partials = `SELECT id, ${panes.join(', ')} FROM ${table} WHERE ${windows.accepts('t', 'w')}`
  const judged = await db.rows(
    `SELECT ${windows.accepts('t', 'w')} AS accepted, ${windows.lateEnds('t', 'w')} AS late FROM ${table} ORDER BY id`,
  )
  const opened = await db.rows(
    `SELECT id, list(_window_end ORDER BY _window_end) AS ends FROM (${windows.windowsOf(partials, fromUs, toUs)}) GROUP BY id`,
  )
  const states = await db.rows(
    `SELECT id, ${windows.closesAt} AS closes_at, ${windows.emitsFrom} AS emits_from, ${windows.flushAt(highMarkUs)} AS flush_at FROM (${partials})`,
  )
  const ends = new Map(opened.map(row => [row.id, row.ends as Ends]))
  const state = new Map(states.map(row => [row.id, row]))
  return judged.map((row, index) => {
    const { id } = input[index] as Row
    const own = state.get(id)
    return {
      accepted: row.accepted as boolean,
      late: row.late as Ends,
      open: ends.get(id) ?? [],
      closesAt: (own?.closes_at ?? null) as bigint | null,
      emitsFrom: (own?.emits_from ?? null) as bigint | null,
      flushAt: (own?.flush_at ?? null) as bigint | null,
    }
  })
}
