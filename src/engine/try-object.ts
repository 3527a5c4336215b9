import type { ObjectVersion } from '../core/object-version.ts'
import type { ObjectStore } from '../core/ports.ts'
import type { SourceDefinition } from '../plan/source.ts'
import type { Components } from './components.ts'
import { openSession } from './duckdb/session.ts'
import { createFetch } from './fetch.ts'
import type { MarkedObject } from './marked-object.ts'
import { nothingSeen, nullColumns } from './never-seen.ts'

/** What a run makes of one object. */
export interface Tried extends Pick<MarkedObject, 'outcome' | 'reason' | 'rows' | 'quarantinedRows'> {
  /** Columns of JSON without a value in any row. */
  readonly nullColumns: readonly string[]
}

/**
 * Fetches one object and checks every declared column of every row, as a run does (S17), and counts nothing.
 *
 * @throws MillraceError what would stop the run under a policy of `fail`
 */
export async function tryObject(
  components: Components,
  { settings, policies }: SourceDefinition,
  store: ObjectStore,
  version: ObjectVersion,
): Promise<Tried> {
  const { signal } = new AbortController()
  const session = await openSession({})
  try {
    const neverSeen = nothingSeen(settings)
    const fetch = createFetch(
      {
        store,
        format: components.formats[settings.format](settings),
        settings,
        policies,
        executor: await session.executor(signal),
        neverSeen,
        spool: session.spool,
        signal,
      },
      (_sizeBytes, work) => work(),
    )
    const [{ outcome, reason, rows, quarantinedRows }] = (await fetch([version])) as readonly [MarkedObject]
    return { outcome, reason, rows, quarantinedRows, nullColumns: nullColumns(neverSeen) }
  } finally {
    await session.close()
  }
}
