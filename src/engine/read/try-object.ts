import { formatOf } from '../../../connectors/registry.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { ObjectStore } from '../../core/ports.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import { badRowText, firstBadRow } from './bad-row.ts'
import type { Components } from '../components.ts'
import { openSession } from '../duckdb/session.ts'
import { createFetch } from './fetch.ts'
import type { MarkedObject } from './marked-object.ts'
import { nothingSeen, nullColumns } from './never-seen.ts'

/** What a run makes of one object. */
export interface Tried extends Pick<MarkedObject, 'outcome' | 'reason' | 'rows' | 'quarantinedRows'> {
  /** Columns of JSON without a value in any row. */
  readonly nullColumns: readonly string[]
  /** The first row that would be set aside, in words. */
  readonly firstAside?: string
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
    const format = formatOf(settings, policies, components.formats)
    const neverSeen = nothingSeen(settings, format)
    const executor = await session.executor(signal)
    const fetch = createFetch(
      {
        store,
        format,
        settings,
        policies,
        executor,
        neverSeen,
        spool: session.spool,
        clock: components.clock,
        signal,
      },
      (_sizeBytes, work) => work(),
    )
    const { marked } = await fetch([version])
    const [tried] = marked as readonly [MarkedObject]
    const { outcome, reason, rows, quarantinedRows, setAside } = tried
    const first = setAside && { firstAside: badRowText(await firstBadRow(executor, setAside(0), signal)) }
    return { outcome, reason, rows, quarantinedRows, nullColumns: nullColumns(neverSeen), ...first }
  } finally {
    await session.close()
  }
}
