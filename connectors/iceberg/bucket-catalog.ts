import { corrupt } from '../../checkpoints/codec.ts'
import { nameOf } from '../../checkpoints/objects.ts'
import { retrying } from '../../checkpoints/retry.ts'
import { isMillraceError, toError } from '../../src/core/errors.ts'
import type { ObjectStore, Put, StoredBody } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import type { Catalog, Committed } from './catalog.ts'
import { parseExact, stringifyExact } from './exact-json.ts'
import { applyUpdates, checkMetadata, emptyTable, type TableMetadata } from './metadata.ts'

/** Where readers without a catalog look for the number of the metadata in force. */
const hintKey = 'metadata/version-hint.text'
const keyOf = (version: number) => `metadata/v${version}.metadata.json`

/** So many earlier metadata are kept, as Iceberg's own writers do. */
const versionsKept = 100

/** Metadata in force, with their number. */
interface Current {
  readonly version: number
  readonly table: TableMetadata
}

/**
 * The folder of a table is its own catalog: `metadata/vN.metadata.json`, each made by one conditional put, so that one
 * of two writers gets the next number. `version-hint.text` is for readers, and tells a writer where to begin looking.
 */
export function openBucketCatalog(
  store: ObjectStore,
  { sleep, newId, nowMs }: Pick<SinkContext, 'sleep' | 'newId' | 'nowMs'>,
): Catalog {
  const files = { store, sleep }
  let current: Current | undefined
  /** No metadata up to this number are left. */
  let tidied: number | undefined
  return {
    address: store.address,
    async load() {
      current = await findCurrent(files, current)
      return current?.table
    },
    async create(made) {
      const table = emptyTable(made, store.address.replace(/\/+$/, ''), newId(), nowMs())
      const created = await putMetadata(files, { version: 1, table })
      if (created.is === 'committed') current = { version: 1, table }
      return created
    },
    async commit(base, updates) {
      const version = current?.version ?? 0
      const log = [
        ...(base['metadata-log'] ?? []),
        { 'metadata-file': `${base.location}/${keyOf(version)}`, 'timestamp-ms': base['last-updated-ms'] },
      ].slice(-versionsKept)
      const next = { version: version + 1, table: { ...applyUpdates(base, updates, nowMs()), 'metadata-log': log } }
      const committed = await putMetadata(files, next)
      if (committed.is !== 'committed') return committed
      // For a writer that slept while a hundred commits were made, the next number is free again.
      if ((await read(files, keyOf(version), [0, 1])) === 'missing') {
        await store.delete([keyOf(version + 1)])
        current = undefined
        return { is: 'conflict' }
      }
      current = next
      return committed
    },
    storeOf: async () => store,
    async tidy() {
      if (current === undefined) return
      await writeHint(files, current.version)
      const last = current.version - versionsKept
      // Those that a killed process left are found by a listing, once.
      const old = tidied === undefined ? await listVersions(store, last) : between(tidied, last)
      if (old.length > 0) await retrying(sleep, () => store.delete(old.map(keyOf)))
      tidied = Math.max(last, 0)
    },
  }
}

interface Files extends Pick<SinkContext, 'sleep'> {
  readonly store: ObjectStore
}

function read({ store, sleep }: Files, key: string, range?: readonly [number, number]) {
  return retrying(sleep, () => store.get(key, range ? { range } : {}))
}

/** @param known what was seen last: from there on it is looked for */
async function findCurrent(files: Files, known: Current | undefined): Promise<Current | undefined> {
  const { store } = files
  let version = known?.version ?? (await hinted(files))
  let body: StoredBody | undefined
  if (known === undefined) {
    let found = version === 0 ? 'missing' : await read(files, keyOf(version))
    if (typeof found === 'string') {
      // No hint, or that of metadata which are deleted by now.
      version = (await listVersions(store, Infinity)).reduce((a, b) => Math.max(a, b), 0)
      if (version === 0) return undefined
      found = await read(files, keyOf(version))
      if (typeof found === 'string') throw corrupt(nameOf(store, keyOf(version)), 'what was listed', `it ${found}`)
    }
    body = found
  }
  for (;;) {
    const next = await read(files, keyOf(version + 1))
    if (typeof next === 'string') break
    body = next
    version++
  }
  return body === undefined ? known : { version, table: parse(body.body, nameOf(store, keyOf(version))) }
}

async function hinted(files: Files): Promise<number> {
  const hint = await read(files, hintKey)
  return typeof hint === 'string' ? 0 : numberIn(hint)
}

function numberIn({ body }: StoredBody): number {
  const number = Number(Buffer.from(body).toString())
  return Number.isSafeInteger(number) && number > 0 ? number : 0
}

/** Numbers of the metadata that there are, up to one, in no order. */
async function listVersions(store: ObjectStore, upTo: number): Promise<readonly number[]> {
  const versions: number[] = []
  if (upTo <= 0) return versions
  for await (const { key } of store.list('metadata/v')) {
    const version = Number(/^metadata\/v(\d{1,15})\.metadata\.json$/.exec(key)?.[1])
    if (version <= upTo) versions.push(version)
  }
  return versions
}

function between(after: number, upTo: number): readonly number[] {
  return Array.from({ length: Math.max(upTo - after, 0) }, (_, index) => after + 1 + index)
}

function parse(body: Uint8Array, at: string): TableMetadata {
  let found: unknown
  try {
    found = parseExact(Buffer.from(body).toString())
  } catch (error) {
    throw corrupt(at, 'JSON', String(error))
  }
  return checkMetadata(found, at)
}

async function putMetadata(files: Files, { version, table }: Current): Promise<Committed> {
  const body = Buffer.from(stringifyExact(table))
  const answer = await files.store.put(keyOf(version), body, 'absent').catch((error: unknown): Put => {
    if (isMillraceError(error) && error.kind !== 'retry') throw error
    return { is: 'unknown', cause: toError(error) }
  })
  if (answer.is === 'stored') return { is: 'committed' }
  // A put that was repeated after a lost answer meets itself.
  const found = await read(files, keyOf(version))
  if (typeof found === 'string') return answer
  return { is: Buffer.compare(found.body, body) === 0 ? 'committed' : 'conflict' }
}

/** Only ever forward. */
async function writeHint(files: Files, version: number): Promise<void> {
  for (;;) {
    const hint = await read(files, hintKey)
    if (typeof hint !== 'string' && numberIn(hint) >= version) return
    const eTag = typeof hint === 'string' ? 'absent' : hint.eTag
    const body = Buffer.from(String(version))
    const written = await retrying(files.sleep, () => files.store.put(hintKey, body, eTag))
    if (written.is === 'stored') return
  }
}
