import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Format } from '../../src/plan/format.ts'
import { runs } from '../engine/harness.ts'
import { type ObjectReader, openObjectReader } from './object-reader.ts'

/** A format of rows, as text with columns `k` and `v`. */
export interface FormatLab {
  readonly format: Format
  /** An object of these rows. */
  body(rows: readonly { readonly k: string; readonly v: number }[]): string
  /** A row that cannot be parsed, as it stands between others, the text of it that is shown, and what was expected. */
  readonly broken: { readonly row: string; readonly shown: string; readonly expected: string }
  /** What the rows of a body lie between. */
  readonly separator: string
}

const columns = { k: 'VARCHAR NOT NULL', v: 'BIGINT' }
const rowsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => ({ k: `k${from + n}`, v: from + n }))
const cells = (rows: readonly { k: string; v: number }[]) => rows.map(({ k, v }) => [k, String(v)])

/** What every format of text must pass: the same rows, however they are sent, and no row lost without a word. */
export function describeTextFormat(name: string, { format, body, broken, separator }: FormatLab): void {
  describe(`format contract: ${name}`, () => {
    let reader: ObjectReader
    beforeAll(async () => {
      reader = await openObjectReader()
    })
    afterAll(() => reader[Symbol.asyncDispose]())
    const read = (objects: Readonly<Record<string, string | Uint8Array>>, declared = columns) =>
      reader.read(format, declared, objects)
    const valuesIn = (reading: Awaited<ReturnType<ObjectReader['read']>>[number] | undefined) =>
      reading?.rows.map(({ k, v }) => [k, v])

    test('rows are numbered in their order, plain, with a byte order mark, of gzip and of zstd, in one part or several (S18)', async () => {
      const rows = rowsOf(2_000)
      const text = Buffer.from(body(rows))
      const half = text.length >> 1
      const parts = (compress: (part: Uint8Array) => Buffer) =>
        Buffer.concat([compress(text.subarray(0, half)), compress(text.subarray(half))])
      const readings = await read({
        1: text,
        2: Buffer.concat([Buffer.from('\uFEFF'), text]),
        3: gzipSync(text),
        4: parts(part => gzipSync(part)),
        5: parts(part => zstdCompressSync(part)),
      })
      expect(readings).toHaveLength(5)
      for (const reading of readings) {
        expect(reading).toMatchObject({ reason: null, aside: [] })
        expect(valuesIn(reading)).toEqual(cells(rows))
        expect(reading.rows.map(row => Number(row._row))).toEqual(rows.map((_, n) => n))
      }
    })

    test('objects that are read together keep their rows apart, empty ones among them', async () => {
      const objects = [rowsOf(3), rowsOf(1, 10), rowsOf(2, 20)]
      const readings = await read({
        1: body(objects[0] ?? []),
        2: body([]),
        3: body(objects[1] ?? []),
        4: body(objects[2] ?? []),
      })
      expect(readings.map(valuesIn)).toEqual([
        cells(objects[0] ?? []),
        [],
        cells(objects[1] ?? []),
        cells(objects[2] ?? []),
      ])
      for (const { rows } of readings) expect(rows.map(row => Number(row._row))).toEqual(rows.map((_, n) => n))
    })

    test('a broken row is set aside with its number and text, and the others count (S17)', async () => {
      const [before, after] = [rowsOf(2), rowsOf(1, 2)]
      const text = body([...before, ...after])
      const at = text.indexOf(body(after).trimEnd().split(separator).at(-1) ?? '')
      const [reading] = await read({ 1: `${text.slice(0, at)}${broken.row}${separator}${text.slice(at)}` })
      expect(valuesIn(reading)).toEqual(cells([...before, ...after]))
      expect(reading?.rows.map(row => Number(row._row))).toEqual([0, 1, 3])
      expect(reading?.aside).toMatchObject([{ _row: 2n, expected: broken.expected, found: broken.shown }])
    })

    test('a value that does not fit its type is set aside, and never rounded (S17)', async () => {
      const [reading] = await read({
        1: body([
          { k: 'a', v: 1 },
          { k: 'b', v: 1.5 },
          { k: 'c', v: 3 },
        ]),
      })
      expect(valuesIn(reading)).toEqual([
        ['a', '1'],
        ['c', '3'],
      ])
      expect(reading?.aside).toMatchObject([{ _row: 1n, column: 'v', expected: 'BIGINT', found: '1.5' }])
    })

    test('a stream that is cut off is a bad object, of which no row counts', async () => {
      const whole = gzipSync(body(rowsOf(500)))
      const [reading] = await read({ 1: whole.subarray(0, -9) })
      expect(reading).toMatchObject({ reason: 'its gzip stream is broken: unexpected end of file', rows: [] })
    })

    test(
      'whatever bytes come, each object is read or is a bad one, the same each time, and spoils no other',
      async () => {
        const sound = body(rowsOf(3))
        const pieces = fc.oneof(
          { weight: 3, arbitrary: fc.uint8Array({ maxLength: 60 }).map(bytes => Buffer.from(bytes)) },
          {
            weight: 2,
            arbitrary: fc
              .constantFrom(sound, broken.row, separator, '\0', '\r\n', '"', '\x01', '\x02', '{', '[', '\uFEFF')
              .map(text => Buffer.from(text)),
          },
          { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }).map(text => Buffer.from(text)) },
        )
        const object = fc.array(pieces, { maxLength: 8 }).map(all => Buffer.concat(all))
        await fc.assert(
          fc.asyncProperty(fc.array(object, { minLength: 1, maxLength: 20 }), async bodies => {
            const objects = Object.fromEntries(bodies.map((bytes, n) => [String(n).padStart(2, '0'), bytes]))
            const readings = await read({ ...objects, '99': sound })
            expect(readings).toHaveLength(bodies.length + 1)
            expect(valuesIn(readings.at(-1))).toEqual(cells(rowsOf(3)))
            for (const { rows, aside } of readings) {
              const numbers = [...new Set([...rows, ...aside].map(row => Number(row._row)))].toSorted((a, b) => a - b)
              expect(numbers).toEqual(numbers.map((_, n) => n))
            }
            const [alone] = await read({ '00': bodies[0] ?? '' })
            expect(alone).toEqual(readings[0])
          }),
          runs(15),
        )
        // A longer search ends when it is done.
      },
      process.env.MILLRACE_RUNS === undefined ? 60_000 : 0,
    )
  })
}
