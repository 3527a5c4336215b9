import type { LookupDefinition } from '../../plan/lookup.ts'
import type { Components } from '../components.ts'
import { openSession } from '../duckdb/session.ts'
import { createFetch } from '../read/fetch.ts'
import type { ReadVersion } from '../state/ledger.ts'
import { findObjects, openLookup, readVersion } from './read-lookup.ts'

/**
 * Reads a lookup as a start would, and keeps nothing of it.
 *
 * @throws MillraceError what would refuse the start
 */
export async function tryLookup(
  components: Components,
  definition: LookupDefinition,
  address: string,
): Promise<Pick<ReadVersion, 'rows' | 'objects'>> {
  const { signal } = new AbortController()
  const session = await openSession({})
  try {
    const executor = await session.executor(signal)
    const field = `lookup ${definition.settings.name}: objects`
    const input = await components.findInput(address, field)
    const reading = { executor, spool: session.spool, clock: components.clock, signal }
    const lookup = await openLookup(components, definition, input, field, reading)
    const fetch = createFetch(lookup.fetch, (_sizeBytes, work) => work())
    return await readVersion(lookup, fetch, await findObjects(lookup, signal))
  } finally {
    await session.close()
  }
}
