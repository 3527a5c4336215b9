import { formatOf } from '../../../connectors/registry.ts'
import type { SqlRow } from '../../core/ports.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import { components } from '../components.ts'
import { linksOf } from '../intake/key-kind.ts'
import type { Places } from '../publish/outputs.ts'
import { inputsGiven } from '../publish/run-places.ts'
import { createFetchOfAll, type Fetch } from '../read/fetch.ts'
import type { FetchContext, MarkedObject } from '../read/marked-object.ts'
import { followMoves, openMoved } from '../replay/moved.ts'
import { versionOf } from '../state/ledger.ts'
import type { BoundCheckpoint } from './bound-checkpoint.ts'

/** Reads objects of a ledger once more, as a run has. */
export interface RowReader {
  /** @param entry of the ledger. The outcome is 'read' where this very version is there still. */
  read(entry: SqlRow): Promise<MarkedObject>
}

/** @param given other places of the sources than the pipeline's own */
export async function createRowReader(
  found: Pick<BoundCheckpoint, 'reader' | 'executor' | 'definitions' | 'spool'>,
  given: Places | undefined,
): Promise<RowReader> {
  const inputs = inputsGiven(given, { definitions: found.definitions, lookups: [] })
  const moved = await openMoved(found.reader, found.executor, components)
  const contextOf = async (definition: SourceDefinition): Promise<FetchContext> => {
    const { settings, objects, keys } = definition
    // What was set aside then is set aside again, and nothing ends the answer.
    const policies = {
      ...definition.policies,
      onBadRow: 'quarantine',
      onBadObject: 'quarantine',
      onDenied: 'quarantine',
    } as const
    const field = `source ${settings.name}: objects`
    const input = await components.findInput(inputs[settings.name] ?? objects, field)
    const store = await components.openInput(input.root, field, linksOf(input, keys))
    return {
      store: followMoves(store, settings.name, moved),
      format: formatOf(settings, policies, components.formats),
      settings,
      policies,
      executor: found.executor,
      spool: found.spool,
      clock: components.clock,
      signal: new AbortController().signal,
    }
  }
  const fetches = new Map<string, Fetch>()
  return {
    async read(entry) {
      const source = String(entry.source)
      const definition = found.definitions.find(({ settings }) => settings.name === source)
      if (!definition) throw new Error(`unreachable: the ledger has source ${source}, the pipeline has not`)
      const tables = `again_${found.definitions.indexOf(definition)}`
      const fetch =
        fetches.get(source) ?? createFetchOfAll([await contextOf(definition)], (_, work) => work(), { tables })
      fetches.set(source, fetch)
      const { marked } = await fetch([{ ...versionOf(entry), source }])
      return marked[0] as MarkedObject
    },
  }
}
