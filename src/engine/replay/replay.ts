import { configError } from '../../core/errors.ts'
import type { Json } from '../../core/json.ts'
import type { Executor } from '../../core/ports.ts'
import type { MiniBatchOptions } from '../../plan/mini-batch-options.ts'
import { differences } from '../../plan/plan-changes.ts'
import type { StepIds } from '../../plan/plan-ids.ts'
import { type LookupDefinition, lookupJson } from '../../plan/lookup.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { text } from '../../plan/sql.ts'
import { type StoredNode, storedPlan, writtenOptions } from '../../plan/stored-plan.ts'
import { type Listing, pulled } from '../intake/admit.ts'
import type { Outcome } from '../read/outcome.ts'
import { createLedgerTable, markOf, withEarlierSql, type AdmittedMark, versionOf } from '../state/ledger.ts'
import type { ChannelReader } from '../state/channels.ts'
import type { ReadCheckpoint } from '../state/read-checkpoint.ts'
import { loadVersions } from '../state/lookup-versions.ts'
import { loadLedger } from '../state/recover.ts'

/** A checkpoint whose ledger is repeated. */
export interface Replayed extends ReadCheckpoint {
  /** The id of each own stage to that of the same stage there: flushes are told by stage. */
  readonly stageNames: ReadonlyMap<string, string>
}

/** @param own, theirs the ids of the same steps in the two checkpoints */
export function withStageNames(other: ReadCheckpoint, own: readonly StepIds[], theirs: readonly StepIds[]): Replayed {
  const pairs = own.flatMap((ids, flow) =>
    [...ids].map(([node, id]) => [id, theirs[flow]?.get(node) as string] as const),
  )
  return { ...other, stageNames: new Map(pairs) }
}

export interface ReplayContext {
  /** The other checkpoint. */
  readonly other: Replayed
  /** The names of the sources. */
  readonly sources: readonly string[]
  readonly lookups: readonly LookupDefinition[]
  readonly executor: Executor
  readonly stage: string
  newId(): string
  readonly miniBatch: MiniBatchOptions
  /** The first entry that this run's own ledger does not hold. */
  readonly nextSeq: number
}

/**
 * Refuses a ledger that was written by other sources or with other lookups: its marks would be judged by other rules
 * (S1), and its versions were checked by another key.
 */
export function checkReplayable(
  other: ReadCheckpoint,
  sources: readonly SourceSettings[],
  lookups: readonly LookupDefinition[],
): void {
  for (const settings of sources) checkSource(other, settings)
  for (const lookup of lookups) checkLookup(other, lookup)
}

function checkLookup({ head, address }: ReadCheckpoint, lookup: LookupDefinition): void {
  const { name } = lookup.settings
  const written = storedPlan(head.manifest.engine.plan)
    .nodes.map(node => (writtenOptions(node) as { readonly lookup?: Json }).lookup)
    .find(found => (found as { readonly name?: string } | undefined)?.name === name)
  if (written === undefined)
    throw configError('ledger', address, `a ledger with versions of lookup ${name}, which the pipeline had then`)
  const of = (value: Json) => ({ canonical: value, written: value })
  const [first] = differences(`lookup ${name}`, of(written), of(lookupJson(lookup)))
  if (first !== undefined)
    throw configError('ledger', address, `a ledger that was written with the same lookup; ${first}`)
}

function checkSource({ head, address }: ReadCheckpoint, settings: SourceSettings): void {
  const all = storedPlan(head.manifest.engine.plan).nodes.filter(({ op }) => op === 'source')
  // Of one source that is called otherwise it is said what else differs.
  const written = all.find(node => nameOf(node) === settings.name) ?? (all.length === 1 ? all[0] : undefined)
  const of = (value: Json | undefined) => ({ canonical: value, written: value })
  const [first] = differences(
    `source ${settings.name}`,
    of(written && writtenOptions(written)),
    of(settings as unknown as Json),
  )
  if (first !== undefined)
    throw configError('ledger', address, `a ledger that was written by the same source; ${first}`)
}

function nameOf(node: StoredNode): string {
  return (writtenOptions(node) as unknown as SourceSettings).name
}

/**
 * Another checkpoint's ledger as a listing: the same object versions in the same order, with its outcomes, marks, ticks
 * and flushes (S1). So the answer is the same, however this run is cut.
 */
export async function replay(context: ReplayContext): Promise<Listing> {
  const { other, sources, lookups, executor, stage, newId, nextSeq } = context
  const reader = { checkpoint: other.checkpoint, manifest: other.head.manifest, stage, newId }
  await createLedgerTable(executor, 'replayed')
  await loadLedger(reader, executor, 'replayed')
  const lookedUp = lookups.map(({ settings }) => settings.name)
  const names = [...sources, ...lookedUp].map(text).join(', ')
  const [foreign] = await executor.rows(`SELECT DISTINCT source FROM replayed WHERE source NOT IN (${names}) LIMIT 1`)
  if (foreign)
    throw configError(
      'ledger',
      other.address,
      `a ledger of ${[...sources, ...lookedUp].join(' and ')}; it holds entries of ${String(foreign.source)}`,
    )
  await executor.run(
    'CREATE TABLE admitted AS SELECT row_number() OVER (ORDER BY seq) AS n, * FROM ' +
      `(${withEarlierSql('replayed')}) WHERE seq >= ${nextSeq}`,
  )
  for (const lookup of lookups) await loadReplayed(context, reader, lookup)
  await executor.run('DROP TABLE replayed')
  const [totals] = await executor.rows(
    `SELECT count(*) FILTER ("is" = 'object') AS objects, CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS bytes ` +
      'FROM admitted',
  )
  return {
    objects: Number(totals?.objects),
    bytes: Number(totals?.bytes),
    ignored: {},
    matched: Number(totals?.objects),
    leftOut: 0,
    withoutPeriod: [],
    next: pulled(
      executor,
      context.miniBatch,
      row =>
        row.is === 'object'
          ? {
              ...versionOf(row),
              is: 'object',
              source: String(row.source),
              overwrites: false,
              ...(row.earlier === null ? {} : { earlier: row.earlier as Outcome }),
              known: {
                outcome: row.outcome as Outcome,
                reason: row.reason as string | null,
                highMarkUs: row.high_mark_us as bigint | null,
              },
            }
          : renamed(markOf(row), other.stageNames),
      'admitted',
    ),
  }
}

/** The versions of a lookup that are still to come. @throws MillraceError `user` where the ledger begins without one */
async function loadReplayed(
  { other: { address }, executor, nextSeq }: ReplayContext,
  reader: ChannelReader,
  lookup: LookupDefinition,
): Promise<void> {
  const { name } = lookup.settings
  const versions = await executor.rows(
    `SELECT seq, epoch FROM replayed WHERE "is" = 'lookup' AND source = ${text(name)} ORDER BY seq`,
  )
  const [object] = await executor.rows(`SELECT min(seq) AS seq FROM replayed WHERE outcome = 'read'`)
  if (object && object.seq !== null && !(Number(versions[0]?.seq) < Number(object.seq)))
    throw configError('ledger', address, `a ledger with a version of lookup ${name} before its first object`)
  const coming = versions.map(({ seq, epoch }) => ({ seq: Number(seq), epoch: Number(epoch) }))
  await loadVersions(
    reader,
    executor,
    lookup,
    coming.filter(({ seq }) => seq >= nextSeq),
    'ledger',
  )
}

/** A flush under the names that stages have here. Others keep theirs: a replay of this ledger may know them. */
function renamed(mark: AdmittedMark, names: Replayed['stageNames']): AdmittedMark {
  if (mark.is !== 'flush' || mark.stages === undefined) return mark
  const { stages } = mark
  const here = [...names].flatMap(([own, there]) =>
    stages[there] === undefined ? [] : [[own, stages[there]] as const],
  )
  const theirs = new Set(names.values())
  const others = Object.entries(stages).filter(([id]) => !theirs.has(id))
  return { ...mark, stages: Object.fromEntries([...others, ...here]) }
}
