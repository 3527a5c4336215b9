import { retrying } from '../../checkpoints/retry.ts'
import { isMillraceError, MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import type { Catalog, Committed } from './catalog.ts'
import { checkMetadata, currentSnapshot, mainBranch, type TableMetadata } from './metadata.ts'
import { away, errorTypeIn, reasonIn, type RestAnswer, type RestClient } from './rest-client.ts'

/** A table in a catalog: its namespace, from the outside in, and its name. */
export interface TableName {
  readonly namespace: readonly string[]
  readonly name: string
}

/** A catalog behind the REST protocol of Iceberg (https://iceberg.apache.org/rest-catalog-spec/). */
export function openRestCatalog(
  client: RestClient,
  { namespace, name }: TableName,
  { address, warehouse }: { readonly address: string; readonly warehouse: string | undefined },
  { sleep, openStore }: Pick<SinkContext, 'sleep' | 'openStore'>,
): Catalog {
  let prefix: Promise<string> | undefined
  let opened: { readonly at: string; readonly store: Promise<ObjectStore> } | undefined
  const pathOf = async (rest: string) => {
    prefix ??= retrying(sleep, () => readPrefix(client, address, warehouse))
    try {
      return `${await prefix}${rest}`
    } catch (error) {
      prefix = undefined
      throw error
    }
  }
  // Levels are parted by the unit separator.
  const namespacePath = `/namespaces/${encodeURIComponent(namespace.join('\u001f'))}`
  const tablePath = `${namespacePath}/tables/${encodeURIComponent(name)}`
  const post = async (path: string, body: unknown) => tried(client, await pathOf(path), body)

  return {
    address,
    async load() {
      const path = await pathOf(tablePath)
      const answer = await retrying(sleep, async () => {
        const found = await client.call('GET', path)
        return found.status === 404 ? found : good(address, found, 'the table')
      })
      if (answer.status === 404) return undefined
      const { metadata } = (answer.body ?? {}) as { readonly metadata?: unknown }
      return checkMetadata(metadata, address)
    },
    async create({ schema, spec, properties }) {
      const body = { name, schema, 'partition-spec': spec, properties, 'stage-create': false }
      const answer = await post(`${namespacePath}/tables`, body)
      const isHomeless =
        'status' in answer && answer.status === 404 && errorTypeIn(answer.body) === 'NoSuchNamespaceException'
      if (!isHomeless) return committed(address, answer, 'a new table')
      const made = committed(address, await post('/namespaces', { namespace, properties: {} }), 'a new namespace')
      // Then the table is asked for again.
      return made.is === 'committed' ? { is: 'conflict' } : made
    },
    async commit(base, updates) {
      const requirements = [
        { type: 'assert-table-uuid', uuid: base['table-uuid'] },
        { type: 'assert-ref-snapshot-id', ref: mainBranch, 'snapshot-id': snapshotIdOf(base) },
      ]
      const answer = await post(tablePath, { identifier: { namespace, name }, requirements, updates })
      return committed(address, answer, 'a commit')
    },
    storeOf({ location }) {
      const at = location.replace(/\/+$/, '').replace(/^s3[an]:/, 's3:')
      if (opened?.at === at) return opened.store
      const store = openStore(at)
      opened = { at, store }
      store.catch(() => (opened = undefined))
      return store
    },
    // The catalog's own affair.
    tidy: async () => {},
  }
}

/** What stands in the paths of a warehouse: '/lake', or nothing. */
async function readPrefix(client: RestClient, address: string, warehouse: string | undefined): Promise<string> {
  const query = warehouse === undefined ? '' : `?warehouse=${encodeURIComponent(warehouse)}`
  const answer = good(address, await client.call('GET', `/config${query}`), 'its configuration')
  const { overrides, defaults } = (answer.body ?? {}) as Record<string, { readonly prefix?: unknown } | undefined>
  const found = overrides?.prefix ?? defaults?.prefix
  if (typeof found !== 'string' || found === '') return ''
  return `/${found.split('/').map(encodeURIComponent).join('/')}`
}

/** A write that may have been made although nothing answered. */
async function tried(client: RestClient, path: string, body: unknown): Promise<RestAnswer | Committed> {
  try {
    return await client.call('POST', path, body)
  } catch (error) {
    if (isMillraceError(error) && error.kind === 'retry') return { is: 'unknown', cause: error }
    throw error
  }
}

function committed(address: string, answer: RestAnswer | Committed, what: string): Committed {
  if ('is' in answer) return answer
  if (answer.status === 409) return { is: 'conflict' }
  if (answer.status >= 500 || answer.status === 429) return { is: 'unknown', cause: away(address, answer.status) }
  good(address, answer, what)
  return { is: 'committed' }
}

/** @throws MillraceError for an answer that is none: `retry` where the catalog is away */
function good(address: string, answer: RestAnswer, what: string): RestAnswer {
  if (answer.status >= 200 && answer.status < 300) return answer
  if (answer.status >= 500 || answer.status === 429) throw away(address, answer.status)
  throw new MillraceError(
    'user',
    'catalog-refused',
    `${address}: asked for ${what}, the catalog answered ${answer.status}${reasonIn(answer.body)}.`,
  )
}

function snapshotIdOf(table: TableMetadata) {
  return currentSnapshot(table)?.['snapshot-id'] ?? null
}
