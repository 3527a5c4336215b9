import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { advance, beginning, type WatermarkEntry, type WatermarkState } from '../../src/plan/watermark.ts'

const object = (highMarkUs: bigint | null): WatermarkEntry => ({ is: 'object', highMarkUs })
const tick = (watermarkUs: bigint): WatermarkEntry => ({ is: 'tick', watermarkUs })
const flush = (watermarkUs: bigint): WatermarkEntry => ({ is: 'flush', watermarkUs })

/** The states after each entry, as [watermark, highest high mark]. */
function fold(entries: readonly WatermarkEntry[], delayUs: bigint | undefined) {
  let state: WatermarkState = beginning
  return entries.map(entry => {
    state = advance(state, entry, delayUs)
    return [state.watermarkUs, state.highMarkUs]
  })
}

describe('the fold over ledger entries', () => {
  test.each<{ name: string; delayUs: bigint | undefined; entries: WatermarkEntry[]; states: (bigint | null)[][] }>([
    {
      name: 'the watermark is the highest high mark less the delay (S2)',
      delayUs: 10n,
      entries: [object(100n), object(130n)],
      states: [
        [90n, 100n],
        [120n, 130n],
      ],
    },
    {
      name: 'it never falls: an older object leaves it where it is (S2)',
      delayUs: 10n,
      entries: [object(100n), object(50n), object(101n)],
      states: [
        [90n, 100n],
        [90n, 100n],
        [91n, 101n],
      ],
    },
    {
      name: 'an object without a mark moves nothing: no rows, none inside the bounds, or quarantined (S3)',
      delayUs: 10n,
      entries: [object(null), object(100n), object(null)],
      states: [
        [null, null],
        [90n, 100n],
        [90n, 100n],
      ],
    },
    {
      name: 'a flush sets the watermark itself and leaves the high mark, by which the next flush goes (S6)',
      delayUs: 10n,
      entries: [object(100n), flush(160n), object(120n), object(171n)],
      states: [
        [90n, 100n],
        [160n, 100n],
        [160n, 120n],
        [161n, 171n],
      ],
    },
    {
      name: 'a tick and a flush cannot take it back (S5, S6)',
      delayUs: 10n,
      entries: [tick(5n), tick(3n), object(100n), flush(50n), tick(91n)],
      states: [
        [5n, null],
        [5n, null],
        [90n, 100n],
        [90n, 100n],
        [91n, 100n],
      ],
    },
    {
      name: 'without a delay only ticks and flushes move it',
      delayUs: undefined,
      entries: [object(100n), object(200n), flush(210n), object(300n)],
      states: [
        [null, 100n],
        [null, 200n],
        [210n, 200n],
        [210n, 300n],
      ],
    },
    {
      name: 'a delay of zero is a delay; times before 1970 are times',
      delayUs: 0n,
      entries: [object(-100n), object(-200n), object(-99n)],
      states: [
        [-100n, -100n],
        [-100n, -100n],
        [-99n, -99n],
      ],
    },
  ])('$name', ({ delayUs, entries, states }) => {
    expect(fold(entries, delayUs)).toEqual(states)
  })
})

const entries = fc.array(
  fc.oneof(
    fc.option(fc.bigInt({ min: -1000n, max: 1000n })).map(object),
    fc.bigInt({ min: -1000n, max: 1000n }).map(tick),
    fc.bigInt({ min: -1000n, max: 1000n }).map(flush),
  ),
)

test('it is a running maximum: it never falls, and the order of entries does not change where it ends (S2)', () => {
  fc.assert(
    fc.property(entries, fc.option(fc.bigInt({ min: 0n, max: 500n }), { nil: undefined }), (all, delayUs) => {
      const states = fold(all, delayUs)
      for (const [index, [watermarkUs]] of states.entries()) {
        const before = states[index - 1]?.[0] ?? null
        if (before !== null) expect(watermarkUs as bigint).toBeGreaterThanOrEqual(before)
      }
      expect(fold(all.toReversed(), delayUs).at(-1)).toEqual(states.at(-1))
    }),
  )
})
