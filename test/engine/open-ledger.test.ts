/** The ledger of a run: its files stay files, and what comes is a table (P2, P10). */
import { copyFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { FileRef, Manifest } from '../../checkpoints/types.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { Executor } from '../../src/core/ports.ts'
import type { TextRows } from '../../src/core/text-rows.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import { createIdentities } from '../../src/engine/intake/identities.ts'
import { goneReasons, unread } from '../../src/engine/read/marked-object.ts'
import { createLedgerTable, ledgerText, objectRow } from '../../src/engine/state/ledger.ts'
import { openLedger, recentLedger } from '../../src/engine/state/open-ledger.ts'

let session: Session
let executor: Executor
beforeEach(async () => {
  session = await openSession({ threads: 1 })
  executor = await session.executor(new AbortController().signal)
})
afterEach(() => session.close())

const versionOf = (seq: number): ObjectVersion => ({
  bucket: 'b',
  key: `day=1/${seq}.jsonl`,
  eTag: `e${seq}`,
  sizeBytes: 1,
  lastModifiedMs: 0,
})

/** Entries with these numbers, one object each. */
const entries = (...seqs: readonly number[]): TextRows =>
  ledgerText(
    seqs.map(seq => {
      const marked = { ...unread('s', versionOf(seq), 'gone', null), outcome: 'read' as const }
      return objectRow({ marked, seq, watermarkUs: null }, seq, 0)
    }),
  )

/** A part of the channel that is a file. @param columns of the ledger that its writer knew */
async function storedPart(name: string, rows: TextRows, columns = '*'): Promise<FileRef> {
  await createLedgerTable(executor, 'writing')
  await executor.append('writing', rows)
  const { rows: count, bytes, sha256 } = await executor.write(`SELECT ${columns} FROM writing`, stored(name), [])
  await executor.run('DROP TABLE writing')
  return { name, rows: count, bytes, sha256 }
}
const stored = (name: string) => join(session.stage, `stored-${name}`)

async function open(parts: readonly (FileRef & { readonly text?: TextRows })[]): Promise<void> {
  let ids = 0
  const checkpoint = {
    load: ({ name }: FileRef, to: string) => copyFile(stored(name), to),
    textOf: (ref: FileRef) => ref.text,
  }
  const manifest = { channels: { ledger: parts } } as unknown as Manifest
  await openLedger({ checkpoint, manifest, stage: session.stage, newId: () => `id-${ids++}` }, executor)
}

const seqs = async (table: string) =>
  (await executor.rows(`SELECT seq FROM ${table} ORDER BY seq`)).map(({ seq }) => Number(seq))
const inHead = (...numbers: readonly number[]) => ({
  name: 'ledger/1-1-a.parquet',
  rows: numbers.length,
  bytes: 1,
  sha256: '',
  text: entries(...numbers),
})

test('what files have takes no memory; what rode in HEAD and what comes is a table', async () => {
  const parts = [await storedPart('a', entries(1, 2, 3)), await storedPart('b', entries(4)), inHead(5), inHead(6, 7)]
  await open(parts)
  expect(await seqs('ledger')).toEqual([1, 2, 3, 4, 5, 6, 7])
  expect(await seqs(recentLedger)).toEqual([5, 6, 7])
  const [tables] = await executor.rows('SELECT sum(estimated_size) AS n FROM duckdb_tables()')
  expect(Number(tables?.n)).toBe(3)
  await executor.append(recentLedger, entries(8))
  expect(await seqs('ledger')).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
})

test('its files are its own: a merge that replaces them takes nothing away', async () => {
  await open([await storedPart('a', entries(1, 2))])
  await rm(stored('a'))
  expect(await seqs('ledger')).toEqual([1, 2])
  expect((await readdir(session.stage)).filter(name => name.startsWith('ledger-'))).toHaveLength(1)
})

test('a file of an earlier release lacks columns, which are NULL, and says quarantined of what was gone', async () => {
  const old = await storedPart(
    'old',
    entries(1),
    `* EXCLUDE (applied, flushed) REPLACE ('quarantined' AS outcome, '${[...goneReasons][0]}' AS reason)`,
  )
  await open([old, await storedPart('new', entries(2))])
  expect(await executor.rows('SELECT seq, outcome, applied, flushed FROM ledger ORDER BY seq')).toEqual([
    { seq: 1n, outcome: 'gone', applied: null, flushed: null },
    { seq: 2n, outcome: 'read', applied: null, flushed: null },
  ])
})

test('a ledger without a file is one table, and an empty one too', async () => {
  await open([])
  expect(await seqs('ledger')).toEqual([])
  await executor.append(recentLedger, entries(1))
  expect(await seqs('ledger')).toEqual([1])
})

test('versions are looked up in files, in HEAD and in what has come since (P1, P2)', async () => {
  await open([await storedPart('a', entries(1, 2)), inHead(3)])
  const identities = await createIdentities(executor, 's', 'identities', recentLedger)
  await executor.append(recentLedger, entries(4))
  const versions = [1, 3, 4, 5].map(versionOf)
  const known = await identities.lookUp([...versions, { ...versionOf(2), eTag: 'other' }])
  expect(versions.map(version => known.get(version)?.isRead ?? false)).toEqual([true, true, true, false])
  expect([...known.values()].filter(({ overwrites, isRead }) => overwrites && !isRead)).toHaveLength(1)
})
