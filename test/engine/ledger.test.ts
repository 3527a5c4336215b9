import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isSameVersion } from '../../src/core/object-version.ts'
import type { Executor } from '../../src/core/ports.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import { createLedgerTable, ledgerText, markRow, objectRow, withEarlierSql } from '../../src/engine/state/ledger.ts'
import { unread } from '../../src/engine/read/marked-object.ts'
import { runs } from './harness.ts'

let session: Session
let executor: Executor
beforeAll(async () => {
  session = await openSession({ threads: 1 })
  executor = await session.executor(new AbortController().signal)
})
afterAll(() => session.close())

const entry = fc.record({
  key: fc.constantFrom('a', 'b'),
  eTag: fc.constantFrom('1', '2'),
  versionId: fc.constantFrom(undefined, 'v1', 'v2'),
  outcome: fc.constantFrom('read', 'quarantined', 'skipped', 'gone'),
})

test('the outcome that a version had before is that of its last entry before, by versionIds where both have one (P1)', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 12 }), async drawn => {
      const entries = drawn.map(({ key, eTag, versionId, outcome }) => ({
        outcome,
        version: {
          bucket: 'b',
          key,
          eTag,
          ...(versionId === undefined ? {} : { versionId }),
          sizeBytes: 1,
          lastModifiedMs: 0,
        },
      }))
      await createLedgerTable(executor, 'ledger')
      const rows = entries.map(({ version, outcome }, index) => {
        const marked = { ...unread('s', version, 'gone', null), outcome }
        return objectRow({ marked, seq: index + 1, watermarkUs: null }, 1, 0)
      })
      const tick = markRow(
        { is: 'tick', source: 's', seq: rows.length + 1, watermarkUs: 0n, sizeBytes: 0 },
        1,
        ['s'],
        0,
      )
      await executor.append('ledger', ledgerText([...rows, tick]))
      const found = await executor.rows(`SELECT earlier FROM (${withEarlierSql('ledger')}) ORDER BY seq`)
      await executor.run('DROP TABLE ledger')
      // Nothing comes after a version that was read, so such an entry is never asked for.
      const before = (index: number) =>
        entries
          .slice(0, index)
          .findLast(other => other.outcome !== 'read' && isSameVersion(other.version, entries[index]!.version))
      expect(found.map(({ earlier }) => earlier)).toEqual([
        ...entries.map((_, index) => before(index)?.outcome ?? null),
        null,
      ])
    }),
    runs(100),
  )
})
