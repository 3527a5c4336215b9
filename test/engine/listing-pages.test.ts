/** A listing meets the ledger some keys at a time: how many changes nothing (S7, P1, P13). */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jsonFormat } from '../../connectors/json/format.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { Executor, ObjectStore } from '../../src/core/ports.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import { listNew } from '../../src/engine/intake/admit.ts'
import { createKindOf } from '../../src/engine/intake/key-kind.ts'
import { unread } from '../../src/engine/read/marked-object.ts'
import { createLedgerTable, ledgerText, objectRow } from '../../src/engine/state/ledger.ts'
import type { SourceSettings } from '../../src/plan/source-settings.ts'
import { createMemoryStore } from '../../src/testing/memory-store.ts'
import { runs } from './harness.ts'

let session: Session
let executor: Executor
beforeAll(async () => {
  session = await openSession({ threads: 1 })
  executor = await session.executor(new AbortController().signal)
})
afterAll(() => session.close())

const names = ['a', 'b', 'b\u{FF21}', 'b\u{1F600}', 'c', 'd/e', 'd/f'].map(name => `${name}.jsonl`)
const versionOf = (key: string, eTag: string): ObjectVersion => ({
  bucket: 'b',
  key,
  eTag,
  sizeBytes: key.length,
  lastModifiedMs: 0,
})
const outcome = fc.constantFrom('read', 'quarantined', 'skipped', 'gone')
const entry = fc.record({ key: fc.constantFrom(...names), eTag: fc.constantFrom('1', '2'), outcome })
const listed = fc.uniqueArray(fc.record({ key: fc.constantFrom(...names), eTag: fc.constantFrom('1', '2') }), {
  selector: ({ key }) => key,
})

async function found(versions: readonly ObjectVersion[], keysAtOnce: number) {
  const store: ObjectStore = {
    ...createMemoryStore(),
    async *list() {
      yield* versions.toSorted((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)))
    },
  }
  const settings = { name: 's', columns: {} } as unknown as SourceSettings
  const kindOf = createKindOf({ matches: () => true }, jsonFormat, { hidden: 'ignore' })
  const { signal } = new AbortController()
  const context = { sources: [{ kindOf, fetch: { store, settings } }], executor, table: 'found', signal, keysAtOnce }
  const { objects, newKeys, bytes } = await listNew({ ...context, from: undefined, to: undefined })
  const rows = await executor.rows('SELECT n, key, e_tag, was_gone, overwrites FROM found ORDER BY n')
  await executor.run('DROP TABLE found')
  const [left] = await executor.rows(`SELECT count(*) AS n FROM duckdb_tables() WHERE table_name <> 'ledger'`)
  return { objects, newKeys, bytes, rows, left: Number(left?.n) }
}

test('a listing finds the same whatever number of keys meet the ledger together', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 12 }), listed, async (entries, listing) => {
      await createLedgerTable(executor, 'ledger')
      const rows = entries.map(({ key, eTag, outcome }, index) => {
        const marked = { ...unread('s', versionOf(key, eTag), 'gone', null), outcome }
        return objectRow({ marked, seq: index + 1, watermarkUs: null }, 1, 0)
      })
      if (rows.length > 0) await executor.append('ledger', ledgerText(rows))
      const versions = listing.map(({ key, eTag }) => versionOf(key, eTag))
      const whole = await found(versions, 100)
      // What the ledger has read, or set aside last for another reason than that it was gone, is not new (P13).
      const isNew = ({ key, eTag }: ObjectVersion) => {
        const same = entries.filter(other => other.key === key && other.eTag === eTag)
        return same.every(({ outcome }) => outcome !== 'read') && (same.at(-1)?.outcome ?? 'gone') === 'gone'
      }
      expect(whole.objects).toBe(versions.filter(isNew).length)
      const keysOf = (rows: readonly { readonly key?: unknown }[]) => new Set(rows.map(({ key }) => key))
      expect(keysOf(whole.rows)).toEqual(keysOf(versions.filter(isNew)))
      expect(whole.newKeys).toBe(whole.rows.filter(({ overwrites }) => overwrites === false).length)
      for (const keysAtOnce of [1, 2, 3]) expect(await found(versions, keysAtOnce)).toEqual(whole)
      expect(whole.left).toBe(0)
      await executor.run('DROP TABLE ledger')
    }),
    runs(12),
  )
})
