import { lateRelation } from '../../plan/aside.ts'
import type { LookupDefinition } from '../../plan/lookup.ts'
import { orderOf, type Relation } from '../../plan/relation.ts'
import { text } from '../../plan/sql.ts'
import type { BoundNode, Branch, Flow, LateInput, Stage, StageInput } from '../../plan/stages.ts'
import { unionRows } from '../../plan/union-rows.ts'
import { type FunctionRun, runSteps } from '../fold/function-steps.ts'
import { clocked, keptRows } from '../fold/partials.ts'
import type { ReadingAgain, RowFate } from '../report/why-row.ts'
import { stepTold } from '../report/plan-graph.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import type { LateNamed } from '../state/late-named.ts'
import { loadVersions } from '../state/lookup-versions.ts'
import type { BoundCheckpoint } from './bound-checkpoint.ts'
import type { RowReader } from './read-again.ts'

/** A good row on its way through a flow. */
export interface RowWalk {
  readonly found: BoundCheckpoint
  readonly flow: Flow
  /** Of the row. */
  readonly source: string
  readonly key: string
  readonly seq: number
  readonly epoch: number
  /** What the ledger had come to before the row's object. */
  readonly before: LedgerPosition
  /** What `apply-late` has done, in the order of the ledger. */
  readonly applied: readonly AppliedLate[]
  /** The row as it was read. */
  readonly rows: Relation
  /** All good rows of its object. */
  readonly object: Relation
  /** By id of a step: what it has made of the row in another flow. */
  readonly met: Map<string, Met>
  /** Brings earlier objects here, where they are needed. */
  readonly reader: RowReader
  readonly run: FunctionRun
  tell(fate: RowFate): void
  /** Told before objects are read again. */
  onRead(reading: ReadingAgain): void
  /** What a step that keeps state makes of rows that are not late: those that it gives at once, if any. */
  meet(walk: RowWalk, stage: Stage, kept: Relation, index: number): Promise<Relation | undefined>
}

/** What a step has made of the row. */
export interface Met {
  readonly fate: RowFate
  /** The row, where it goes on. */
  readonly rows: Relation | undefined
}

/** An entry of the ledger that brought late rows into windows. */
export interface AppliedLate {
  readonly epoch: number
  readonly named: LateNamed
  /** What the ledger had come to before it. */
  readonly before: LedgerPosition
}

/** Rows in a table, and how many they are; undefined where none are. */
export async function inTable(
  { found, run }: { readonly found: Pick<BoundCheckpoint, 'executor'> } & Pick<RowWalk, 'run'>,
  rows: Relation,
): Promise<{ readonly rows: Relation; readonly count: number } | undefined> {
  const table = await run.table(rows.sql)
  const [row] = await found.executor.rows(`SELECT count(*) AS n FROM ${table}`)
  const count = Number(row?.n)
  return count === 0 ? undefined : { rows: { ...rows, sql: `SELECT * FROM ${table}` }, count }
}

/** What a branch makes of the row; undefined where nothing of it goes on. */
export async function followBranch(walk: RowWalk, { from, steps }: Branch): Promise<Relation | undefined> {
  let rows = await beginning(walk, from)
  for (const step of steps) rows = rows && (await throughStep(walk, rows, step))
  return rows
}

async function beginning(walk: RowWalk, from: StageInput): Promise<Relation | undefined> {
  switch (from.is) {
    case 'source':
      return from.source === walk.source ? walk.rows : undefined
    case 'union': {
      const inputs: (Relation | undefined)[] = []
      for (const branch of from.branches) inputs.push(await followBranch(walk, branch))
      const rows = unionRows(from, inputs)
      return rows && (await inTable(walk, rows))?.rows
    }
    case 'stage':
      return throughStage(walk, from.stage)
    case 'late':
      return lateAgain(walk, from)
    case 'quarantine':
      return undefined
  }
}

async function throughStep(walk: RowWalk, rows: Relation, step: BoundNode): Promise<Relation | undefined> {
  const { found, run } = walk
  if (step.node.step.is === 'lookup') await loadLookup(walk, step.node.step.lookup)
  const [before] = await found.executor.rows(`SELECT count(*) AS n FROM (${rows.sql})`)
  const of = Number(before?.n)
  const after = await inTable(walk, await runSteps(run, rows, [step]))
  const count = after?.count ?? 0
  const told = stepTold(step.node)
  if (count < of) {
    const condition = of === 1 ? await conditionOf(walk, rows, step) : undefined
    walk.tell({ is: 'left-out', step: told, of, rows: of - count, ...(condition && { condition }) })
  } else if (count > of) walk.tell({ is: 'became', step: told, rows: count })
  return after?.rows
}

/** What the condition of `where` is of a row that it leaves out. */
async function conditionOf(
  { found }: RowWalk,
  rows: Relation,
  { node, bound }: BoundNode,
): Promise<'FALSE' | 'NULL' | undefined> {
  const [predicate] = bound
  if (node.op !== 'where' || predicate === undefined) return undefined
  const [row] = await found.executor.rows(`SELECT (${predicate}) AS holds FROM (${rows.sql}) AS _in`)
  return row?.holds === false ? 'FALSE' : 'NULL'
}

/** The version that the row has met, once. */
async function loadLookup({ found, before }: RowWalk, lookup: LookupDefinition): Promise<void> {
  const version = before.lookups[lookup.settings.name]
  if (!version) return
  const { reader, executor } = found
  const [there] = await executor.rows(
    `SELECT 1 FROM duckdb_tables() WHERE table_name = ${text(version.table.replaceAll('"', ''))}`,
  )
  if (there) return
  const [entry] = await executor.rows(`SELECT epoch FROM ledger WHERE seq = ${version.seq}`)
  await loadVersions(reader, executor, lookup, [{ seq: version.seq, epoch: Number(entry?.epoch) }], 'checkpoint')
}

/** The rows of a step's inputs under its clock, those that are late set apart. */
async function throughStage(walk: RowWalk, stage: Stage): Promise<Relation | undefined> {
  let given: Relation | undefined
  for (const [index, branch] of stage.inputs.entries()) {
    const rows = await followBranch(walk, branch)
    const kept = rows && (await judged(walk, stage, rows))
    if (!kept) continue
    const gives = await walk.meet(walk, stage, kept, index)
    if (index === 0) given = gives
  }
  return given
}

/** @returns the rows with the step's watermark before their object */
async function judged(walk: RowWalk, stage: Stage, rows: Relation): Promise<Relation> {
  const { run, seq, before } = walk
  const entry = { seq, beforeUs: before.clocks[stage.id] ?? null, afterUs: null }
  return keptRows(clocked(rows, [entry]), run, stage)
}

/** The same flow, with nothing told: another one has told it. */
function silently(walk: RowWalk): RowWalk {
  return { ...walk, tell: () => {} }
}

/** The row as it begins a flow of late rows. */
async function lateAgain(walk: RowWalk, from: LateInput): Promise<Relation | undefined> {
  const { stage, index, node } = from
  const { late } = stage.step
  const rows = await followBranch(silently(walk), stage.inputs[index] as Branch)
  if (!rows) return undefined
  const kept = await judged(walk, stage, rows)
  const found = await inTable(walk, { ...kept, sql: late.rows(kept) })
  if (!found) return undefined
  walk.tell({ is: 'late-flow', op: stage.op })
  const objects = `SELECT CAST(${walk.seq} AS BIGINT) AS seq, ${text(walk.key)} AS object`
  const table = `(${found.rows.sql})`
  const relation = lateRelation(node, { table, order: orderOf(kept), windows: late.columns, objects })
  return (await inTable(walk, relation))?.rows
}
