import { retrying } from '../../checkpoints/retry.ts'
import { about, type Finding } from '../../src/core/finding.ts'
import type { SinkPort } from '../../src/core/sink-port.ts'
import type { SinkContext, SinkKind } from '../../src/plan/sink.ts'
import { termOfKey } from './data-file.ts'
import { createLog } from './log.ts'
import { logFolder } from './log-checkpoint.ts'
import { own } from './own.ts'
import { epochOf, tableOwner } from './owner.ts'
import { publishEpoch, stageFiles } from './publish.ts'
import { deltaRows, tableColumns } from './rows.ts'
import { delta, deltaOptions, type DeltaSink } from './spec.ts'
import { deltaTable } from './table.ts'
import { judge, namedKeys, type Target } from './target.ts'

/** Rows of a table in Delta Lake, committed with the number of their epoch. */
export const deltaKind: SinkKind<DeltaSink> = {
  kind: 'delta',
  call: 'delta(...)',
  isFolder: true,
  options: deltaOptions,
  make: ({ uri, ...options }) => delta(uri as string, options as never),
  rows: deltaRows,
  remade: stored => ({ ...stored, access: delta(stored.uri).access }),
  open: openDelta,
}

async function openDelta(sink: DeltaSink, context: SinkContext): Promise<SinkPort> {
  const target = await targetOf(sink, context)
  const { log, store } = target
  const again = <T>(work: () => Promise<T>) => retrying(context.sleep, work)
  return {
    address: store.address,
    isOrdered: true,
    check: isNewCheckpoint => again(async () => void (await judge(target, isNewCheckpoint))),
    own: (isNewCheckpoint, term) => again(() => own(target, isNewCheckpoint, term)),
    through: () =>
      again(async () => {
        const table = await log.read()
        return table ? epochOf(table) : 0
      }),
    // Which files hold a key is known once the epochs before are there: such rows wait in the checkpoint.
    ...(!sink.key && {
      stage: output => stageFiles(target, output),
      // Published files are those of the table.
      discard: async () => {},
    }),
    publish: (committed, signal) => publishEpoch(target, committed, signal),
    orphans: (term, named) => again(() => deleteOrphans(target, term, named)),
    examine: async () => examine(target),
    table: deltaTable(target),
  }
}

async function targetOf(sink: DeltaSink, context: SinkContext): Promise<Target> {
  const store = await context.openStore(sink.uri)
  const columns = tableColumns(context.columns)
  const { output: flow, checkpointId, pipeline } = context
  const { address } = store
  const { key, partitionBy = [] } = sink
  const { missingColumns } = sink.access()
  return {
    sink,
    store,
    log: createLog(store, context),
    owner: tableOwner({ address, checkpointId, flow, pipeline }),
    wanted: { address, columns, key, partitionBy, missingColumns },
    columns,
    context,
  }
}

/** Of lower terms: data files that no entry of the log names, nor a manifest that would have it named. */
async function deleteOrphans(
  { store, log }: Target,
  term: number,
  isNamed: (name: string) => boolean,
): Promise<number> {
  const table = await log.read()
  const named = table ? namedKeys(table) : new Set<string>()
  const orphans: string[] = []
  for await (const { key } of store.list('')) {
    if (key.startsWith(logFolder)) continue
    if ((termOfKey(key) ?? term) < term && !named.has(key) && !isNamed(key)) orphans.push(key)
  }
  await store.delete(orphans)
  return orphans.length
}

const finding = about('output')

function examine({ owner: { address } }: Target): readonly Finding[] {
  return [
    finding(
      'warning',
      `${address}: nothing is lost as long as everyone who writes to the table puts entries of its log where there ` +
        'is none yet, as millrace does; a writer that puts them without that condition may overwrite epochs',
    ),
  ]
}
