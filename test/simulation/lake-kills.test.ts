import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { wholeFromEnvironment } from '../golden/drawn.ts'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'
import { joined, expectAllAfterKills, type KilledDays, lineItems, openKilledDays } from './killed-backfills.ts'
import { lakes, readLines } from './lake-lines.ts'

/** MILLRACE_KILLS=200 is the long form. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 4)
const readers = await serverFor(openLakeReaders)

const tables = ['plain', 'latest'] as const

/** Real processes and real SIGKILLs: at drawn calls to the tables' stores, before, after or while they are under way. */
describe.skipIf(!readers).each(lakes)('a backfill into tables of %s that is killed', lake => {
  if (!readers) return
  let days: KilledDays
  let places = 0

  beforeAll(async () => {
    days = await openKilledDays()
  })
  afterAll(() => days.lab[Symbol.asyncDispose]())

  test(
    `${kills} times at any call to its tables has every row once, and the latest view (P15, I5, I6, I8, I10)`,
    () =>
      expectAllAfterKills<string>({
        kills,
        callsMin: 10,
        newPlace: async () => join(days.lab.root, `place-${++places}`),
        live(place, killAt = 0, when = 'before') {
          const deadly = join(root, 'test/simulation/deadly-lake.ts')
          const [checkpoint, folder] = [join(place, 'checkpoint'), join(place, 'tables')]
          return startNode([deadly, lake, days.lab.input, checkpoint, folder, String(killAt), when], days.lab.root)
            .ended
        },
        async expectAll(place, where) {
          for (const table of tables)
            for (const [reader, lines] of await readLines(
              readers,
              lake,
              join(place, 'tables'),
              table,
              lineItems[table],
            ))
              expect(joined(lines), `${where}: ${table} by ${reader}`).toBe(days.expected[table])
        },
      }),
    7_200_000,
  )
})
