import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { select } from '../../operators/select.ts'
import { session, sessionStep, sessionWindows } from '../../operators/session.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { checkOneToOne, describeOnce, expectConfigError, sourceNode } from './flow.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

test('session passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'session', options: { gap: '30m' } }], trips => trips.pipe(session('30m')))
})

test('it is an annotation: columns stay as they are, and it may follow a select without the event time', () => {
  expect(describeOnce(trips => trips.pipe(session('30m'))).columns).toEqual(sourceNode.columns)
  expect(describeOnce(trips => trips.pipe(select('zone'), session('30m'))).columns).toEqual({ zone: 'BIGINT' })
  expect(sessionStep.canonical?.({ gap: '30m' }, [])).toEqual(sessionStep.canonical?.({ gap: '1800 seconds' }, []))
})

const aGap = 'a duration above zero and below 36,000 years'
test.each([
  ['0s', "'0s'", aGap],
  ['20000000 days', "'20000000 days'", aGap],
  ['half an hour', "'half an hour'", "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'"],
])('a gap that is none is refused: %j', (gap, value, expected) => {
  expectConfigError(() => session(gap as never), 'session: gap', value, expected)
})

// A column of a drawing is a microsecond and the gap is 4. Letters are rows of the group that they name; below them stand its
// sessions, from the first row to the last one and the gap.
const drawn = [
  { name: 'one row', drawing: ['  a', '  [===)a'] },
  { name: 'rows less than a gap apart, in any number', drawing: [' a  a a', ' [========)a'] },
  { name: 'rows exactly a gap apart stay apart', drawing: [' a   a', ' [===)a', '     [===)a'] },
  { name: 'a chain of rows is as long as it likes', drawing: ['a  a  a  a', '[============)a'] },
  { name: 'each group by itself', drawing: ['a ba', '[======)a', '  [===)b'] },
  { name: 'rows of one time', drawing: [' a', ' a', '     a', ' [===)a', '     [===)a'] },
]

describe('sessions of rows, whatever was merged before (S10)', () => {
  const windows = sessionWindows(4n)
  const pieces = (rows: readonly (readonly [string, number])[]) =>
    `SELECT * FROM (VALUES ${rows.map(([k, t]) => `('${k}', ${t}::BIGINT, ${t}::BIGINT)`).join(', ')}) AS p(k, _first, _last)`
  const together = (rows: string) => windows.together?.(rows, ['k']) as string
  const merged = (rows: string) => `SELECT DISTINCT k, _first, _last FROM (${together(rows)})`

  test.each(drawn)('$name', async ({ drawing }) => {
    const lines = drawing.map(line => ({ line, window: /\[=*\)(\w)/.exec(line) }))
    const rows = lines.flatMap(({ line, window }) =>
      window ? [] : [...line].flatMap((k, t) => (k === ' ' ? [] : [[k, t] as const])),
    )
    const expected = lines.flatMap(({ line, window }) =>
      window ? [`${window[1]} ${line.indexOf('[')} ${line.indexOf(')')}`] : [],
    )
    // Every way to have one part of the rows merged before: the pieces of a part may lie anywhere between the others.
    for (let chosen = 0; chosen < 2 ** rows.length; chosen++) {
      const part = rows.filter((_, index) => (chosen >> index) % 2 === 1)
      const rest = rows.filter(row => !part.includes(row))
      const parts = [part, rest].filter(some => some.length > 0).map(pieces)
      const all = merged([...parts.slice(0, -1).map(merged), ...parts.slice(-1)].join(' UNION ALL '))
      const found = await db.rows(windows.windowsOf(all, null, null))
      expect(found.map(row => [row.k, row._window_start, row._window_end].join(' ')).toSorted()).toEqual(
        expected.toSorted(),
      )
    }
  })

  test('are final two gaps after the last row, and not before (S10)', async () => {
    const rows = merged(
      pieces([
        ['a', 0],
        ['a', 3],
        ['b', 5],
      ]),
    )
    const ends = async (from: bigint | null, to: bigint | null) =>
      (await db.rows(windows.windowsOf(rows, from, to)))
        .map(({ _window_end }) => Number(_window_end))
        .toSorted((a, b) => a - b)
    // a: 3 + 8, b: 5 + 8.
    expect(await ends(null, 10n)).toEqual([])
    expect(await ends(null, 11n)).toEqual([7])
    expect(await ends(10n, 13n)).toEqual([7, 9])
    expect(await ends(11n, null)).toEqual([9])
  })

  test('a row is late iff its time and the gap end at or below the watermark before its object (S8)', async () => {
    for (let time = -9; time < 9; time++)
      for (const mark of [null, -6, -1, 0, 1, 5]) {
        const w = mark === null ? 'NULL::BIGINT' : `${mark}::BIGINT`
        const isLate = mark !== null && time + 4 <= mark
        const [row] = await db.rows(
          `SELECT ${windows.accepts(`${time}`, w)} AS accepted, ${windows.lateEnds(`${time}`, w)} AS late`,
        )
        expect(row).toEqual({ accepted: !isLate, late: isLate ? [BigInt(time + 4)] : [] })
      }
    expect(windows.firstEnd(5n)).toBe(9n)
  })

  test('the longest gap and the farthest times stay inside BIGINT', async () => {
    const long = sessionWindows(2n ** 60n)
    const far = [-(2n ** 62n), 2n ** 62n].map(t => `(${t}, ${t})`).join(', ')
    const rows = `SELECT * FROM (VALUES ${far}) AS p(_first, _last)`
    const found = await db.rows(long.windowsOf(long.together?.(rows, []) as string, null, 2n ** 63n - 1n))
    expect(new Set(found.map(({ _window_end }) => _window_end))).toEqual(
      new Set([-(2n ** 62n) + 2n ** 60n, 2n ** 62n + 2n ** 60n]),
    )
  })
})
