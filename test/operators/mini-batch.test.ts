import fc from 'fast-check'
import { from, toArray } from 'rxjs'
import { expect, test } from 'vitest'
import { miniBatch } from '../../operators/mini-batch.ts'
import type { MiniBatchOptions } from '../../src/plan/mini-batch-options.ts'
import { expectConfigError, marbles } from './flow.ts'

/** Objects by name; the digit is their size in bytes. */
const objects = { a: size(3), b: size(3), c: size(5), z: size(0), x: size(9) }
const { a, b, c, z, x } = objects

function size(sizeBytes: number): { sizeBytes: number } {
  return { sizeBytes }
}

test.each<{ name: string; options: MiniBatchOptions; source: string; out: string; batches: object }>([
  {
    name: 'a batch leaves when the next object would pass bytesMax, the rest on completion',
    options: { bytesMax: 6 },
    source: '  a--b--c--|   ',
    out: '     ------p--(q|)',
    batches: { p: [a, b], q: [c] },
  },
  {
    name: 'a batch leaves with its last object when objectsMax is reached, and an empty rest is no batch',
    options: { objectsMax: 2 },
    source: '  a--b--c--a--|',
    out: '     ---p-----q--|',
    batches: { p: [a, b], q: [c, a] },
  },
  {
    name: 'an object larger than bytesMax is a batch of its own',
    options: { bytesMax: 6 },
    source: '  a--x--b--|   ',
    out: '     ---p--q--(r|)',
    batches: { p: [a], q: [x], r: [b] },
  },
  {
    name: 'a full batch is not passed by an object without bytes',
    options: { bytesMax: 6 },
    source: '  a--b--z--c--|   ',
    out: '     ---------p--(q|)',
    batches: { p: [a, b, z], q: [c] },
  },
  {
    name: 'objects of one frame are cut as others are',
    options: { objectsMax: 2, bytesMax: 6 },
    source: '  (abc)--|   ',
    out: '     p------(q|)',
    batches: { p: [a, b], q: [c] },
  },
])('$name', ({ options, source, out, batches }) => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const objectVersions = cold(source, objects)
    expectObservable(objectVersions.pipe(miniBatch(options))).toBe(out, batches as never)
    const completes = source.trim().replace(/\(.*\)/, '-----').length - 1
    expectSubscriptions(objectVersions.subscriptions).toBe(`^${'-'.repeat(completes - 1)}!`)
  })
})

test('an error ends it without the batch that was being filled: nobody counts a half listing', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold('a-b-a-#', objects, new Error('listing failed'))
    const expected = ['--p---#', { p: [a, b] }, new Error('listing failed')] as const
    expectObservable(source.pipe(miniBatch({ objectsMax: 2 }))).toBe(...expected)
    expectSubscriptions(source.subscriptions).toBe('^-----!')
  })
})

test('unsubscription reaches the source; each subscriber fills its own batches', () => {
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const source = cold('a-b-c-|', objects)
    const batches = source.pipe(miniBatch({ objectsMax: 2 }))
    expectObservable(batches, '^--!').toBe('--p', { p: [a, b] })
    expectObservable(batches, '-^').toBe('---p---(q|)', { p: [a, b], q: [c] })
    expectSubscriptions(source.subscriptions).toBe(['^--!', '-^-----!'])
  })
})

test('an empty listing gives no batch', () => {
  marbles(({ cold, expectObservable }) => {
    expectObservable(cold<{ sizeBytes: number }>('--|').pipe(miniBatch())).toBe('--|')
  })
})

test('batches hold every object once, in order, within the limits, and are as large as the next object allows', () => {
  const limit = fc.integer({ min: 1, max: 20 })
  fc.assert(
    fc.property(fc.array(fc.record({ sizeBytes: fc.nat(12) })), limit, limit, (listed, objectsMax, bytesMax) => {
      let batches: readonly (readonly { sizeBytes: number }[])[] = []
      from(listed)
        .pipe(miniBatch({ objectsMax, bytesMax }), toArray())
        .subscribe(all => {
          batches = all
        })
      expect(batches.flat()).toEqual(listed)
      const bytes = (batch: readonly { sizeBytes: number }[]) => batch.reduce((sum, it) => sum + it.sizeBytes, 0)
      for (const [index, batch] of batches.entries()) {
        expect(batch.length).toBeGreaterThan(0)
        expect(batch.length).toBeLessThanOrEqual(objectsMax)
        if (bytes(batch) > bytesMax) expect(batch.filter(({ sizeBytes }) => sizeBytes > 0)).toHaveLength(1)
        const next = batches[index + 1]?.[0]
        if (next && batch.length < objectsMax) expect(bytes(batch) + next.sizeBytes).toBeGreaterThan(bytesMax)
      }
    }),
  )
})

const above = 'a whole number above zero'

test.each([
  [{ objectsMax: 0 }, 'miniBatch: objectsMax', '0', above],
  [{ objectsMax: 1.5 }, 'miniBatch: objectsMax', '1.5', above],
  [{ bytesMax: -1 }, 'miniBatch: bytesMax', '-1', above],
  [{ bytesMax: '1MB' }, 'miniBatch: bytesMax', "'1MB'", above],
  [{ bytesMax: Number.MAX_SAFE_INTEGER + 1 }, 'miniBatch: bytesMax', '9007199254740992', above],
  [{ rowsMax: 0 }, 'miniBatch: rowsMax', '0', above],
  [
    { every: 'now' },
    'miniBatch: every',
    "'now'",
    "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'",
  ],
])('a limit that is none is refused: %j', (options, field, value, expected) => {
  expectConfigError(() => miniBatch(options as never), field, value, expected)
})

test('a misspelt limit is refused, naming the nearest', () => {
  expect(() => miniBatch({ rowMax: 5 } as never)).toThrow(
    "miniBatch: unknown option 'rowMax'; did you mean 'rowsMax'? Options here: objectsMax, bytesMax, rowsMax, every.",
  )
})
