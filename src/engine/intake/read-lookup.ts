import { createHash, randomUUID } from 'node:crypto'
import type { Input } from '../../../connectors/input/input.ts'
import { formatOf } from '../../../connectors/registry.ts'
import { MillraceError, showValue } from '../../core/errors.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { Executor } from '../../core/ports.ts'
import { showCounted } from '../../core/quantity.ts'
import { parseColumnType } from '../../core/types.ts'
import type { LookupDefinition } from '../../plan/lookup.ts'
import { normalKey } from '../../plan/normal-key.ts'
import { id } from '../../plan/sql.ts'
import type { Components } from '../components.ts'
import { badRowText, firstBadRow } from '../read/bad-row.ts'
import type { Fetch } from '../read/fetch.ts'
import type { FetchContext, MarkedObject } from '../read/marked-object.ts'
import type { ReadVersion } from '../state/ledger.ts'
import { createKindOf, type KindOf, linksOf } from './key-kind.ts'

/** A lookup whose place is open. */
export interface OpenLookup {
  readonly definition: LookupDefinition
  readonly fetch: FetchContext
  readonly kindOf: KindOf
  /** As the place is named in errors. */
  readonly place: string
}

/** Opens the place of a lookup. @param field names the address in errors */
export async function openLookup(
  components: Pick<Components, 'openInput' | 'formats'>,
  definition: LookupDefinition,
  input: Input,
  field: string,
  reading: Pick<FetchContext, 'executor' | 'spool' | 'clock' | 'signal'>,
): Promise<OpenLookup> {
  const { settings, policies, keys } = definition
  const format = formatOf(settings, policies, components.formats)
  const store = await components.openInput(input.root, field, linksOf(input, keys))
  return {
    definition,
    place: input.root,
    kindOf: createKindOf(input, format, keys),
    fetch: { ...reading, store, format, settings, policies },
  }
}

/** The objects that make up a lookup now. */
export interface Found {
  readonly objects: readonly ObjectVersion[]
  /** Equal ones are the same objects in the same versions. */
  readonly digest: string
}

/** @throws MillraceError `user` where there is none */
export async function findObjects(
  { definition, fetch, kindOf, place }: OpenLookup,
  signal: AbortSignal,
): Promise<Found> {
  const objects: ObjectVersion[] = []
  for await (const version of fetch.store.list('', undefined, signal))
    if (kindOf(version.key) === 'object') objects.push(version)
  if (objects.length === 0)
    throw wrong(
      definition,
      `nothing of it is at ${place}; expected one object or more, as \`objects\` and \`suffix\` say`,
    )
  objects.sort((a, b) => (a.key < b.key ? -1 : 1))
  const names = objects.map(({ bucket, key, eTag, sizeBytes }) => [bucket, key, eTag, sizeBytes])
  return { objects, digest: createHash('sha256').update(JSON.stringify(names)).digest('hex') }
}

/**
 * Reads a version into a table of its own, every value checked.
 *
 * @throws MillraceError `user` that names the object, the row and the column, or the key of which there are two
 */
export async function readVersion(
  { definition, fetch: { executor } }: OpenLookup,
  fetch: Fetch,
  { objects, digest }: Found,
): Promise<ReadVersion> {
  const table = `lookup_${randomUUID().replaceAll('-', '')}`
  const source = definition.settings.name
  const names = Object.keys(definition.settings.columns).map(id).join(', ')
  let left: readonly (ObjectVersion & { readonly source: string })[] = objects.map(object => ({ ...object, source }))
  let isMade = false
  try {
    while (left.length > 0) {
      const found = await fetch(left)
      left = found.left
      try {
        for (const marked of found.marked) {
          const rows = `SELECT ${names} FROM (${await rowsOf(definition, executor, marked)})`
          await executor.run(isMade ? `INSERT INTO ${table} ${rows}` : `CREATE TABLE ${table} AS ${rows}`)
          isMade = true
          if (await marked.isChanged?.()) throw changed(definition, marked, 'it was written to while it was read')
        }
      } finally {
        for (const marked of found.marked) await marked.release()
      }
    }
    await checkUnique(definition, executor, table)
    const [count] = await executor.rows(`SELECT count(*) AS n FROM ${table}`)
    return {
      digest,
      bucket: objects[0]?.bucket ?? '',
      key: objects.length === 1 ? (objects[0]?.key ?? '') : '',
      objects: objects.length,
      rows: Number(count?.n),
      lastModifiedMs: Math.max(...objects.map(({ lastModifiedMs }) => lastModifiedMs)),
      table,
    }
  } catch (error) {
    await executor.run(`DROP TABLE IF EXISTS ${table}`)
    throw error
  }
}

/** SQL of the rows of an object that is as it should be. */
async function rowsOf(definition: LookupDefinition, executor: Executor, marked: MarkedObject): Promise<string> {
  if (marked.outcome === 'gone') throw changed(definition, marked, String(marked.reason))
  if (!marked.good) throw wrong(definition, `${nameOf(marked)} cannot be read: ${marked.reason}`)
  if (marked.setAside) {
    const bad = await firstBadRow(executor, marked.setAside(0))
    const { quarantinedRows: all } = marked
    const others = all > 1 ? `; in all ${showCounted(all, 'row')} are bad` : ''
    throw wrong(definition, `${nameOf(marked)}, ${badRowText(bad)}${others}`)
  }
  const { source, part } = marked.good
  return source.scan([{ part, seq: 0, watermarkUs: null }])
}

const nameOf = ({ version }: MarkedObject) => `object '${version.key}'`

async function checkUnique(definition: LookupDefinition, executor: Executor, table: string): Promise<void> {
  const { key, settings } = definition
  const values = key.map(name => normalKey(id(name), parseColumnType(settings.columns[name] as string, name)))
  const items = values.map((value, index) => `${value} AS k${index}`)
  const [twice] = await executor.rows(
    `SELECT ${items.join(', ')}, count(*) AS n FROM ${table} ` +
      `GROUP BY ${values.map((_, index) => `k${index}`).join(', ')} ` +
      'HAVING count(*) > 1 ORDER BY ALL LIMIT 1',
  )
  if (!twice) return
  const shown = key.map((name, index) => `${name} ${showValue(twice[`k${index}`])}`).join(', ')
  throw wrong(definition, `${showCounted(Number(twice.n), 'row')} have the key ${shown}; expected one row for each key`)
}

/** It may be there as a whole at the next look. */
function changed({ settings: { name } }: LookupDefinition, marked: MarkedObject, reason: string): MillraceError {
  return new MillraceError('retry', 'lookup-changed', `lookup ${name}: ${nameOf(marked)} cannot be read: ${reason}.`)
}

function wrong({ settings: { name } }: LookupDefinition, what: string): MillraceError {
  return new MillraceError('user', 'lookup', `lookup ${name}: ${what}.`)
}
