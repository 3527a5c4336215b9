import { duckdb, sessionSettings } from '../engine/duckdb/session.ts'
import { lookAt, type Looked } from '../engine/explain.ts'
import { declaredColumns } from '../plan/declared-column.ts'
import { type LookupDefinition, versionColumn } from '../plan/lookup.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { inputColumn, orderOf, type Relation } from '../plan/relation.ts'
import { id } from '../plan/sql.ts'
import { applySteps, type Branch, type Flow, leavesOf, type Leaf, type Stage, stagesInOrder } from '../plan/stages.ts'
import { unionRows } from '../plan/union-rows.ts'
import { portableCasts } from './portable-casts.ts'
import type { PortableFlow, PortableLookup, PortablePlan, PortableStage } from './portable-plan.ts'
import { portableSource, sourceHidden } from './portable-source.ts'
import { givenHidden, portableStage } from './portable-stage.ts'
import { checkPortable } from './refusals.ts'

/**
 * The plan of a pipeline as text for another executor. It holds no place, no credentials and nothing of what `WITH`
 * says: an executor is told what to read.
 *
 * @throws MillraceError `user` `not-portable` that names what only this process can do
 */
export function portablePlan(pipeline: Pipeline): Promise<PortablePlan> {
  return lookAt(pipeline, looked => planOf(pipeline.name, looked))
}

function planOf(pipeline: string, { subscribed, flows }: Looked): PortablePlan {
  const stages = stagesInOrder(flows)
  checkPortable(flows, stages)
  const sources = subscribed.definitions.map(({ settings }, index) => portableSource(settings, `rows_${index + 1}`))
  const names: Names = {
    stages,
    sources: new Map(sources.map(({ name, relation }) => [name, relation])),
    lookups: new Map(subscribed.lookups.map((lookup, index) => [lookup.settings.name, portableLookup(lookup, index)])),
  }
  const types = subscribed.definitions.flatMap(({ settings }) => declaredColumns(settings).map(({ type }) => type.sql))
  return {
    format: 'millrace-portable-plan',
    version: 1,
    pipeline,
    duckdb,
    settings: sessionSettings,
    casts: Object.fromEntries([...new Set(types)].toSorted().map(type => [type, portableCasts(type)])),
    sources,
    lookups: [...names.lookups.values()],
    stages: stages.map((stage, index) => stageOf(names, stage, index)),
    flows: flows.map(flow => flowOf(names, flow)),
  }
}

/** The relations of a plan. */
interface Names {
  readonly stages: readonly Stage[]
  readonly sources: ReadonlyMap<string, string>
  readonly lookups: ReadonlyMap<string, PortableLookup>
}

function portableLookup({ settings }: LookupDefinition, index: number): PortableLookup {
  const relation = `lookup_${index + 1}`
  return { name: settings.name, relation, versions: `${relation}_versions`, columns: settings.columns }
}

function stageOf(names: Names, stage: Stage, index: number): PortableStage {
  const [branch] = stage.inputs as readonly [Branch]
  return {
    id: stage.id,
    op: stage.op,
    reads: readsOf(names, branch),
    isByRow: isByRow(branch),
    ...portableStage(stage, index + 1, rowsOf(names, branch)),
  }
}

function flowOf(names: Names, { name, rows: branch }: Flow): PortableFlow {
  // Results stand for themselves where nothing asks for their place in the ledger.
  const isPlaced = branch.from.is !== 'stage' || branch.steps.some(({ node }) => node.step.is === 'lookup')
  const rows = isPlaced ? rowsOf(names, branch) : resultsOf(names, branch)
  const order = orderOf(rows)
  const columns = [...order, ...Object.keys(rows.columns)].map(id).join(', ')
  return {
    name,
    reads: readsOf(names, branch, isPlaced ? 'given' : 'results'),
    isByRow: isByRow(branch),
    sql: `SELECT ${columns} FROM (${rows.sql})`,
    order,
    columns: rows.columns,
  }
}

/** The rows of a branch, by the relations that it begins with. */
function rowsOf(names: Names, { from, steps }: Branch): Relation {
  const parts = { lookup: (of: LookupDefinition) => lookupRowsOf(names, of) }
  if (from.is === 'union') {
    const rows = unionRows(
      from,
      from.branches.map(branch => rowsOf(names, branch)),
    )
    return applySteps(rows as Relation, steps, parts)
  }
  const sql = `SELECT * FROM ${leafRelation(names, from)}`
  const [columns, hidden] =
    from.is === 'stage' ? [from.stage.step.columns, givenHidden] : [from.node.columns, sourceHidden]
  return applySteps({ sql, columns, hidden }, steps, parts)
}

function resultsOf(names: Names, { from, steps }: Branch): Relation {
  if (from.is !== 'stage') throw new Error('unreachable: results are those of a stage')
  const { index, emission } = emissionOf(names, from.stage)
  const parts = { lookup: (of: LookupDefinition) => lookupRowsOf(names, of) }
  return applySteps({ ...emission, sql: `SELECT * FROM results_${index}` }, steps, parts)
}

function emissionOf({ stages }: Names, stage: Stage) {
  const none = { rows: { sql: '', columns: {}, hidden: [] }, committed: () => '', own: () => '' }
  const emission = stage.step.emit({ ...none, partials: () => [], fromUs: null, toUs: 0n })
  return { index: stages.indexOf(stage) + 1, emission }
}

/** A row meets the last version that came before its own entry. */
function lookupRowsOf({ lookups }: Names, { settings }: LookupDefinition) {
  const { relation, versions, columns } = lookups.get(settings.name) as PortableLookup
  const before = `lambda _seq_of: _seq_of < ${inputColumn('_seq')}`
  return {
    sql: `SELECT ${[versionColumn, ...Object.keys(columns)].map(id).join(', ')} FROM ${relation}`,
    version: `list_max(list_filter((SELECT list(seq) FROM ${versions}), ${before}))`,
  }
}

function leafRelation({ sources, stages }: Names, leaf: Leaf, of: 'given' | 'results' = 'given'): string {
  if (leaf.is === 'source') return sources.get(leaf.source) as string
  if (leaf.is === 'stage') return `${of}_${stages.indexOf(leaf.stage) + 1}`
  throw new Error(`unreachable: ${leaf.is} is not portable`)
}

function readsOf(names: Names, branch: Branch, of: 'given' | 'results' = 'given'): readonly string[] {
  const lookups = lookupsIn(branch).flatMap(name => {
    const { relation, versions } = names.lookups.get(name) as PortableLookup
    return [relation, versions]
  })
  return [...new Set([...leavesOf(branch).map(leaf => leafRelation(names, leaf, of)), ...lookups])]
}

function lookupsIn({ from, steps }: Branch): readonly string[] {
  const before = from.is === 'union' ? from.branches.flatMap(lookupsIn) : []
  return [
    ...before,
    ...steps.flatMap(({ node: { step } }) => (step.is === 'lookup' ? [step.lookup.settings.name] : [])),
  ]
}

function isByRow({ from, steps }: Branch): boolean {
  const isSo = steps.every(({ node: { step } }) => step.is !== 'stateless' || step.unit === undefined)
  return isSo && (from.is !== 'union' || from.branches.every(isByRow))
}
