import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readTable } from '../connectors/delta/readers.ts'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'
import { openGuideFolder } from './guide-folder.ts'

const readers = await serverFor(openLakeReaders)

test.skipIf(!readers)(
  'the guide of Delta Lake shows what its pipeline gives',
  async () => {
    if (!readers) return
    await using reader = await openGuideFolder('delta')
    const { folder, blocks, done, backfill } = reader
    expect(await done('doctor', 'pipeline.ts')).toContain('puts them without that condition may overwrite epochs')
    await done(...backfill)
    const [shown = ''] = blocks('text')
    const [, ...lines] = shown.trimEnd().split('\n')
    const expected = lines.map(line => line.split(/ +/))
    for (const found of await readTable(readers, join(folder, 'today'))) {
      const rows = found.map(({ shop, sales, cents }) => [String(shop), String(sales), String(cents)])
      expect(rows.toSorted(([a = ''], [b = '']) => a.localeCompare(b))).toEqual(expected)
    }
    expect(await done('backfill', 'pipeline.ts')).toContain('nothing to do')
    for (const args of [
      ['explain', 'pipeline.ts'],
      ['inspect', 'checkpoint'],
      ['verify', 'pipeline.ts'],
      ['run', 'pipeline.ts', '--until-idle'],
    ])
      await done(...args)
    for (const found of await readTable(readers, join(folder, 'today'))) expect(found.length).toBe(2)
  },
  120_000,
)
