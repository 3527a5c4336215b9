import { copyFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkPages } from '../../../connectors/parquet/pages.ts'
import { sharedData } from '../../shared-data.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-pages-'))
})
afterAll(() => rm(folder, { recursive: true }))

const corpus = sharedData('parquet-testing')
const { signal } = new AbortController()
/** What is wrong with the file; undefined where nothing is. */
const check = async (file: string, ...columns: readonly string[]) => {
  const checked = await checkPages(file, columns, signal)
  return checked.is === 'bad' ? checked.reason : undefined
}

describe.skipIf(!corpus.isThere)('checksums of pages, which DuckDB does not look at', () => {
  const path = (file: string) => join(corpus.path, file)

  test.each([
    ['datapage_v1-uncompressed-checksum.parquet', ['a', 'b']],
    ['datapage_v1-snappy-compressed-checksum.parquet', ['a', 'b']],
    ['plain-dict-uncompressed-checksum.parquet', ['long_field', 'binary_field']],
    ['rle-dict-snappy-checksum.parquet', ['long_field', 'binary_field']],
  ])('%s: each page has its own', async (file, columns) => {
    expect(await check(path(file), ...columns)).toBeUndefined()
  })

  test('a page that has another one is named, in data pages and in dictionaries', async () => {
    expect(await check(path('datapage_v1-corrupt-checksum.parquet'), 'a', 'b')).toBe(
      "column 'a', page at byte 4: its checksum is 0f4f6d0a, its header says bbce3b9d",
    )
    expect(await check(path('rle-dict-uncompressed-corrupt-checksum.parquet'), 'LONG_FIELD')).toBe(
      "column 'long_field', page at byte 4: its checksum is 6522df69, its header says 6522df6a",
    )
  })

  test('a column that is not declared is not looked at', async () => {
    expect(await check(path('datapage_v1-corrupt-checksum.parquet'), 'nowhere')).toBeUndefined()
  })

  test('any flipped bit of a page is found', async () => {
    const bytes = await readFile(path('datapage_v1-uncompressed-checksum.parquet'))
    const file = join(folder, 'flipped.parquet')
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 100, max: 5000 }), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit)
        await writeFile(file, flipped)
        expect(await check(file, 'a')).toMatch(/column 'a', page at byte 4: its checksum is/)
      }),
      { numRuns: 50 },
    )
  })

  test('a footer or a page that is cut off or overwritten says what is wrong', async () => {
    const file = join(folder, 'broken.parquet')
    const bytes = await readFile(path('plain-dict-uncompressed-checksum.parquet'))
    const broken = async (change: (copy: Buffer) => void, ...columns: string[]) => {
      const copy = Buffer.from(bytes)
      change(copy)
      await writeFile(file, copy)
      return check(file, ...columns)
    }
    const length = bytes.readUInt32LE(bytes.length - 8)
    // The first field of the footer is no longer one.
    const footer = bytes.length - 8 - length
    expect(await broken(copy => copy.fill(0xff, footer, footer + 40), 'long_field')).toMatch(/thrift|footer|length/i)
    expect(await broken(copy => copy.fill(0, footer, footer + 1), 'long_field')).toBe('its footer has no schema')
    // No page header at the start of the chunk.
    expect(await broken(copy => copy.fill(0, 4, 30), 'long_field')).toBe(
      "column 'long_field', page at byte 4: there is no page header",
    )
    expect(await broken(copy => copy.fill(0xff, 4, 60), 'long_field')).toMatch(
      /column 'long_field', page at byte 4: its header cannot be decoded/,
    )
    // The header's compressed_page_size, a zigzag varint behind the type and the uncompressed size.
    const at = bytes.indexOf(Buffer.from([0x15]), 7)
    expect(await broken(copy => copy.fill(0xff, at + 1, at + 2), 'long_field')).toMatch(/page at byte 4/)
  })

  test('what is no Parquet is left to DuckDB, which says so', async () => {
    const file = join(folder, 'cut.parquet')
    await copyFile(path('plain-dict-uncompressed-checksum.parquet'), file)
    await truncate(file, 1000)
    expect(await check(file, 'long_field')).toBeUndefined()
    await writeFile(file, '')
    expect(await check(file, 'long_field')).toBeUndefined()
  })
})
