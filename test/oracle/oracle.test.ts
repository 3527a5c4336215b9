import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyCut, cuts, inputs } from './generate.ts'
import { type OracleInput, type OracleObject, type OracleRow, type OracleWindow, oracle } from './oracle.ts'

// Small numbers stand for microseconds. `row(12, 'a', 5n)` is an event at 12 with key a and value 5.
const row = (t: number | null, key: string | null = 'k', value: bigint | null = 1n): OracleRow => ({
  t: t === null ? null : BigInt(t),
  key: [key],
  values: [value],
})
const object = (...rows: OracleRow[]): OracleObject => ({ rows })
const tumbling = (size: number) => ({ sizeUs: BigInt(size), everyUs: BigInt(size) })
const hopping = (size: number, every: number) => ({ sizeUs: BigInt(size), everyUs: BigInt(every) })

function run(
  ledger: OracleInput['ledger'],
  windows: OracleInput['windows'],
  { delay = 0, flush = false, where }: { delay?: number; flush?: boolean; where?: OracleInput['where'] } = {},
) {
  const result = oracle({ ledger, windows, delayUs: BigInt(delay), flush, ...(where && { where }) })
  return {
    final: result.final.map(brief),
    open: result.open.map(brief),
    late: result.late.map(l => `object ${l.object} row ${l.row} [${l.windowStart},${l.windowEnd})`),
    quarantined: result.quarantined.map(q => `object ${q.object} row ${q.row}`),
    watermark: result.watermark,
  }
}

function brief({ windowStart, windowEnd, key, count }: OracleWindow): string {
  return `[${windowStart},${windowEnd}) ${key.join()}: ${count}`
}

describe('watermark and lateness', () => {
  test('a row is late iff its window ends at or below the watermark before its own object (S2, S8)', () => {
    //  t    0         10        20        30
    //       |---------|---------|---------|
    //  o0     3            12                    W after o0 = 12 - 2 = 10
    //  o1           9                            [0,10) ends at 10 <= 10: late
    //  o2                  12      25            counts in [10,20); W after o2 = 23
    //  o3                     15                 [10,20) ends at 20 <= 23: late
    const ledger = [object(row(3), row(12)), object(row(9)), object(row(12), row(25)), object(row(15))]
    expect(run(ledger, tumbling(10), { delay: 2 })).toEqual({
      final: ['[0,10) k: 1', '[10,20) k: 2'],
      open: ['[20,30) k: 1'],
      late: ['object 1 row 0 [0,10)', 'object 3 row 0 [10,20)'],
      quarantined: [],
      watermark: 23n,
    })
  })

  test('one microsecond before the window end the watermark makes nothing late (S8)', () => {
    //  W after o0 = 9: [0,10) is open for o1, whose 5 counts; W stays 9 and the window stays open.
    expect(run([object(row(9)), object(row(5))], tumbling(10))).toMatchObject({
      final: [],
      open: ['[0,10) k: 2'],
      late: [],
      watermark: 9n,
    })
  })

  test('rows of one object never make each other late, whatever their order in it (S8)', () => {
    //  o0: 95 comes first, 5 after it. Both are judged by no watermark at all.
    expect(run([object(row(95), row(5))], tumbling(10))).toMatchObject({
      final: ['[0,10) k: 1'],
      open: ['[90,100) k: 1'],
      late: [],
      watermark: 95n,
    })
  })

  test('the watermark never falls, and late rows give marks no lower one (S2)', () => {
    expect(run([object(row(50)), object(row(7)), object()], tumbling(10)).watermark).toBe(50n)
  })

  test('an object of only NULL times moves no watermark; its rows are quarantined (S2)', () => {
    expect(run([object(row(null), row(null)), object(row(4), row(null))], tumbling(10))).toEqual({
      final: [],
      open: ['[0,10) k: 1'],
      late: [],
      quarantined: ['object 0 row 0', 'object 0 row 1', 'object 1 row 1'],
      watermark: 4n,
    })
    expect(run([object(row(null)), object()], tumbling(10), { flush: true }).watermark).toBeNull()
  })

  test('a where drops rows after the mark was taken, and what it drops is never late (S2)', () => {
    //  o0: 30 is dropped but its mark closes [0,10). o1: 1 is kept and late, 2 is dropped and not late.
    const where = (r: OracleRow) => r.values[0] === 1n
    const ledger = [object(row(5), row(30, 'k', 0n)), object(row(1), row(2, 'k', 0n))]
    expect(run(ledger, tumbling(10), { where })).toMatchObject({
      final: ['[0,10) k: 1'],
      open: [],
      late: ['object 1 row 0 [0,10)'],
      watermark: 30n,
    })
  })

  test('rows outside the bounds count but give no mark; no row inside gives none at all (S3)', () => {
    //  o0 has the period [0,100): 95 marks, 2098 does not. o1 [100,200) holds only rows of other periods.
    const ledger: OracleObject[] = [
      { rows: [row(95), row(2098)], bounds: [0n, 100n] },
      { rows: [row(250), row(94)], bounds: [100n, 200n] },
      { rows: [row(100), row(99), row(200)], bounds: [100n, 200n] },
    ]
    // W: 95 after o0, 95 after o1, 100 after o2 (200 is outside [100,200), its upper end being open).
    expect(run(ledger, tumbling(10))).toMatchObject({
      final: ['[90,100) k: 3'],
      open: ['[100,110) k: 1', '[200,210) k: 1', '[250,260) k: 1', '[2090,2100) k: 1'],
      late: [],
      watermark: 100n,
    })
  })
})

describe('windows', () => {
  test('windows align to the epoch by floor, also before 1970 (S9)', () => {
    //  t  -20       -10        0         10
    //      |---------|---------|---------|
    //               -10   -1   0
    expect(run([object(row(-1), row(0), row(-10), row(-11))], tumbling(10))).toMatchObject({
      open: ['[0,10) k: 1'],
      final: ['[-20,-10) k: 1', '[-10,0) k: 2'],
      watermark: 0n,
    })
  })

  test('a hopping row counts in each window that holds it and is late per window (S8, S9)', () => {
    //  size 10, every 4          -8   -4    0    4    8   12   16
    //  o0: 13                                        [4..14) [8..18) [12..22)      W = 13
    //  o1: 9 in [0,10) [4,14) [8,18): [0,10) is late, the others count
    expect(run([object(row(13)), object(row(9))], hopping(10, 4))).toMatchObject({
      final: [],
      open: ['[4,14) k: 2', '[8,18) k: 2', '[12,22) k: 1'],
      late: ['object 1 row 0 [0,10)'],
    })
  })

  test('a row on the border of hopping windows belongs to the later one only (S9)', () => {
    //  size 10, every 5: 10 is in [5,15) and [10,20), not in [0,10).
    expect(run([object(row(10), row(-5))], hopping(10, 5))).toMatchObject({
      final: ['[-10,0) k: 1', '[-5,5) k: 1'],
      open: ['[5,15) k: 1', '[10,20) k: 1'],
    })
  })
})

describe('flush', () => {
  test('a flush closes windows that start at or below the highest high mark, late rows then follow (S6)', () => {
    //  o0: 3, 20 -> high mark 20, W = 20 - 15 = 5. Flush: [20,30) starts at 20 <= 20, so F = 30.
    //  o1: 29 is late after the flush, 31 is not.
    const ledger = [object(row(3), row(20)), 'flush' as const, object(row(29), row(31))]
    expect(run(ledger, tumbling(10), { delay: 15 })).toMatchObject({
      final: ['[0,10) k: 1', '[20,30) k: 1'],
      open: ['[30,40) k: 1'],
      late: ['object 1 row 0 [20,30)'],
      watermark: 30n,
    })
  })

  test('a row far ahead and outside the bounds stays open after the flush (S6)', () => {
    //  bounds [0,100): high mark 42, so F = 50; [2090,2100) starts above the mark.
    const ledger: OracleObject[] = [{ rows: [row(42), row(2098)], bounds: [0n, 100n] }]
    expect(run(ledger, tumbling(10), { flush: true })).toMatchObject({
      final: ['[40,50) k: 1'],
      open: ['[2090,2100) k: 1'],
      watermark: 50n,
    })
  })

  test('a window that starts above the highest mark stays open even when its neighbour closes (S6)', () => {
    //  size 10, every 5, bounds [0,12): mark 11. 14 lies outside: its windows are [5,15) and [10,20), both start <= 11.
    //  16 lies outside: [10,20) starts <= 11, [15,25) does not. F = 20.
    const ledger: OracleObject[] = [{ rows: [row(11), row(14), row(16)], bounds: [0n, 12n] }]
    expect(run(ledger, hopping(10, 5), { flush: true })).toMatchObject({
      final: ['[5,15) k: 2', '[10,20) k: 3'],
      open: ['[15,25) k: 1'],
      watermark: 20n,
    })
  })

  test('the flush goes by the highest mark of all objects, not by the last one (S6)', () => {
    //  o0: 20, o1: 3; delay 30, so W = -10 and nothing closes by itself. M = 20, F = 30.
    expect(run([object(row(20)), object(row(3))], tumbling(10), { delay: 30, flush: true })).toMatchObject({
      final: ['[0,10) k: 1', '[20,30) k: 1'],
      open: [],
      watermark: 30n,
    })
  })

  test('a flush without state moves nothing (S6)', () => {
    const where = () => false
    expect(run([object(row(7))], tumbling(10), { flush: true, where }).watermark).toBe(7n)
  })
})

describe('values', () => {
  test('NULLs are ignored by aggregates and are a group of their own as keys (S22)', () => {
    const rows = [row(1, null, null), row(2, null, null), row(3, 'null', -5n), row(4, 'a', null), row(5, 'a', 7n)]
    const { final } = oracle({
      ledger: [object(...rows, row(6, 'a', 2n ** 70n))],
      windows: tumbling(10),
      delayUs: 0n,
      flush: true,
    })
    expect(final.map(({ key, count, values }) => ({ key, count, values }))).toEqual([
      { key: ['a'], count: 3n, values: [{ count: 2n, sum: 2n ** 70n + 7n, min: 7n, max: 2n ** 70n }] },
      { key: ['null'], count: 1n, values: [{ count: 1n, sum: -5n, min: -5n, max: -5n }] },
      { key: [null], count: 2n, values: [{ count: 0n, sum: null, min: null, max: null }] },
    ])
  })

  test('without keys there is one group a window', () => {
    const ledger = [object({ t: 1n, key: [], values: [] }, { t: 2n, key: [], values: [] })]
    expect(run(ledger, tumbling(10), { flush: true }).final).toEqual(['[0,10) : 2'])
  })
})

describe('properties', () => {
  test('each row is in each of its windows exactly once: counted, late, or quarantined (S8)', () => {
    fc.assert(
      fc.property(inputs(), input => {
        const { final, open, late, quarantined } = oracle(input)
        const { sizeUs, everyUs } = input.windows
        let pairs = 0n
        let untimed = 0
        for (const entry of input.ledger) {
          if (entry === 'flush') continue
          for (const { t } of entry.rows) {
            if (t === null) untimed++
            // Starts in (t - size, t] that are multiples of `every`, counted by the difference of two floors.
            else pairs += floor(t, everyUs) - floor(t - sizeUs, everyUs)
          }
        }
        const counted = [...final, ...open].reduce((sum, { count }) => sum + count, 0n)
        expect(counted + BigInt(late.length)).toBe(pairs)
        expect(quarantined).toHaveLength(untimed)
      }),
    )
  })

  test('a flush changes which windows are open, never what they hold or what is late (S6)', () => {
    fc.assert(
      fc.property(inputs({ bounded: true }), input => {
        const flushed = oracle({ ...input, flush: true })
        const unflushed = oracle({ ...input, flush: false })
        const all = ({ final, open }: typeof flushed) => new Set([...final, ...open].map(w => JSON.stringify(w, text)))
        expect(all(flushed)).toEqual(all(unflushed))
        expect(flushed.late).toEqual(unflushed.late)
      }),
    )
  })

  test('a cut keeps every object, in order, in epochs that are not empty (I11)', () => {
    fc.assert(
      fc.property(
        fc.nat(12).chain(n => fc.tuple(fc.constant(n), cuts(n))),
        ([n, sizes]) => {
          const objects = Array.from({ length: n }, (_, i) => i)
          const epochs = applyCut(objects, sizes)
          expect(epochs.flat()).toEqual(objects)
          expect(epochs.every(epoch => epoch.length > 0)).toBe(true)
        },
      ),
    )
  })
})

function floor(value: bigint, step: bigint): bigint {
  return (value - (((value % step) + step) % step)) / step
}

function text(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}
