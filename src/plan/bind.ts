import { MillraceError, withCallSite } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import { invalid, optionError } from '../core/options.ts'
import type { Executor } from '../core/ports.ts'
import { type ParsedType, parseColumnType } from '../core/types.ts'
import { lateRelation, noAside } from './aside.ts'
import { checkDistinct } from './function-code.ts'
import { type Forms, formsOf } from './forms.ts'
import { firstSentence } from './duckdb-sentence.ts'
import { failureOfEvery, type Gate } from './gate.ts'
import { guardZones, guardZonesInside, textsInside } from './guard-zones.ts'
import { checkDefaults } from './declared-column.ts'
import type { Terminal } from './mini-batch.ts'
import { versionColumn } from './lookup.ts'
import { chain, inputOf, lookupsOf, type PlanNode, planKey, sourcesOf, way } from './node.ts'
import {
  type ColumnTypes,
  inputAlias,
  inputColumn,
  orderOf,
  plainTypes,
  type Relation,
  rowHidden,
  resultColumn,
} from './relation.ts'
import { freshIds, type StepIds } from './plan-ids.ts'
import { id, text } from './sql.ts'
import {
  applySteps,
  besideRows,
  type Branch,
  type Flow,
  hiddenAfter,
  type Leaf,
  leavesOf,
  splitFlows,
  stagesOf,
  type StepParts,
} from './stages.ts'
import type { ChangeUnit, StateChannel, Updates } from './step.ts'
import type { UserExpression } from './step-options.ts'
import { unionRows } from './union-rows.ts'
import { changedRows, changeUnit } from './updates.ts'

/** A pipeline's flows with every expression gated and bound. */
export interface BoundFlows {
  readonly terminals: readonly Terminal[]
  /** What its steps are compared by. */
  readonly forms: Forms
  /** The flows, cut into stages. @param ids of the steps of each flow; absent: those that a new checkpoint gets */
  flows(ids?: readonly StepIds[]): readonly Flow[]
}

/**
 * Gates every user expression, then lets DuckDB bind the whole of every flow over an empty input: what the compiler
 * could not know fails here, before anything is claimed or read.
 */
export async function bindFlows(
  terminals: readonly Terminal[],
  gate: Gate,
  executor: Pick<Executor, 'run' | 'rows' | 'describe'>,
): Promise<BoundFlows> {
  const lookups = terminals.flatMap(({ node }) => lookupsOf(node))
  const declaring = [...terminals.flatMap(({ node }) => sourcesOf(node)), ...lookups.map(({ settings }) => settings)]
  for (const settings of new Set(declaring)) await checkDefaults(settings, executor)
  const nodes = terminals.flatMap(terminal => chain(terminal.node))
  const byPlan = new Map<string, readonly string[]>()
  const bound = new Map<PlanNode, readonly string[]>()
  for (const node of nodes) {
    if (node.step.is === 'window' && node.step.timeZone)
      await checkTimeZone(node.op, node.step.timeZone(node.options as never), executor).catch((error: unknown) => {
        throw withCallSite(error, node.at)
      })
    if ((node.step.is !== 'stateless' && node.step.is !== 'stateful') || bound.has(node)) continue
    const key = planKey(node)
    const expressions =
      byPlan.get(key) ??
      (await bindNode(node, node.step.expressions(node.options as never), gate, executor).catch((error: unknown) => {
        throw withCallSite(error, node.at)
      }))
    byPlan.set(key, expressions)
    bound.set(node, expressions)
  }
  const forms = await formsOf(
    terminals.map(({ node }) => node),
    gate,
  )
  checkDistinct(nodes, forms)
  const flows = (ids = freshIds(terminals, forms)) => splitFlows(terminals, bound, ids)
  for (const flow of flows()) await checkFlow(flow, executor)
  return { terminals, forms, flows }
}

/** Zones are those that the running DuckDB knows, as it writes them. */
async function checkTimeZone(op: string, name: string, executor: Pick<Executor, 'rows'>): Promise<void> {
  const names = (await executor.rows('SELECT name FROM pg_timezone_names()')).map(row => String(row.name))
  if (names.includes(name)) return
  const near = nearestName(name, names)
  const expected = "the name of a time zone of the IANA database, such as 'America/New_York'"
  throw optionError(op, { ...invalid(name, expected), path: 'timeZone', ...(near === undefined ? {} : { near }) })
}

async function bindNode(
  node: PlanNode,
  expressions: readonly UserExpression[],
  gate: Gate,
  executor: Pick<Executor, 'run'>,
): Promise<readonly string[]> {
  if (expressions.length === 0) return []
  const input = inputOf(node).columns
  const plain = plainTypes(input)
  const after = way(node).some(before => before.step.is === 'stateful')
  const bound: string[] = []
  for (const expression of expressions) {
    const { field, sql, type, mustBe } = expression
    const gated = await gate.expression(sql, plain, { step: node.op, field }, inputAlias)
    if (mustBe !== undefined && gated.type !== mustBe)
      throw new MillraceError('user', 'expression-type', `${field}: '${sql}' is ${gated.type}; expected ${mustBe}.`)
    bound.push(type === undefined ? gated.sql : await castTo(type, field, sql, gated.sql, plain, after, executor))
  }
  return bound
}

/** The declared type of a derived column is part of the plan. It may round; NULL under NOT NULL is an error. */
async function castTo(
  type: string,
  field: string,
  written: string,
  sql: string,
  columns: ColumnTypes,
  afterState: boolean,
  executor: Pick<Executor, 'run'>,
): Promise<string> {
  const declared = parseColumnType(type, field)
  const cast = castSql(sql, declared)
  const failure = await failureOfEvery(executor, cast, columns, inputAlias)
  if (failure !== undefined)
    throw new MillraceError(
      'user',
      'expression-type',
      `${field}: '${written}' cannot be cast to ${declared.sql}: ${firstSentence(failure)}`,
      failure,
    )
  if (declared.nullable) return cast
  // The engine puts the object's key in the place of `_seq`.
  const at = afterState ? '' : ` || ' at _seq ' || ${inputColumn('_seq')} || ', row ' || ${inputColumn('_row')}`
  return (
    `CASE WHEN ${cast} IS NULL ` +
    `THEN error(${text(`${field}: '${written}' is NULL under ${declared.sql} NOT NULL`)}${at}) ELSE ${cast} END`
  )
}

function castSql(sql: string, { name, list, sql: type }: ParsedType): string {
  const cast = (value: string) => `CAST(${value} AS ${type})`
  if (name !== 'TIMESTAMPTZ') return cast(sql)
  return list ? guardZonesInside(sql, cast(sql), cast(text(textsInside))) : guardZones(sql, cast(sql), false)
}

function emptyRows(columns: ColumnTypes): string {
  const items = Object.entries(columns).map(([name, type]) => `CAST(NULL AS ${type}) AS ${id(name)}`)
  return `SELECT ${[...rowHidden.map(name => `CAST(NULL AS BIGINT) AS ${name}`), ...items].join(', ')} WHERE FALSE`
}

/** No rows, with the columns that a function is declared to give and the hidden ones that ride along. */
function typed(input: Relation, { columns, step }: PlanNode): Relation {
  const items = Object.entries(columns).map(
    ([name, type]) => `CAST(NULL AS ${parseColumnType(type, name).sql}) AS ${id(name)}`,
  )
  const hidden = hiddenAfter(input, step)
  const carried = hidden.map(name => (input.hidden.includes(name) ? inputColumn(name) : `CAST(0 AS BIGINT) AS ${name}`))
  return {
    ...input,
    sql: `SELECT ${[...carried, ...items].join(', ')} FROM (${input.sql}) AS ${id(inputAlias)}`,
    columns,
    hidden,
  }
}

const emptyParts: StepParts = {
  given: typed,
  lookup({ settings: { columns } }) {
    const items = Object.entries(plainTypes(columns)).map(([name, type]) => `CAST(NULL AS ${type}) AS ${id(name)}`)
    const version = 'CAST(NULL AS BIGINT)'
    return { sql: `SELECT ${[`${version} AS ${versionColumn}`, ...items].join(', ')} WHERE FALSE`, version }
  },
}

/** No rows of what a branch goes through, for DuckDB to bind. */
function emptyBranch({ from, steps }: Branch): Relation {
  if (from.is === 'union')
    return applySteps(unionRows(from, from.branches.map(emptyBranch)) as Relation, steps, emptyParts)
  if (from.is === 'late' || from.is === 'quarantine') return applySteps(noAside(from.node.columns), steps, emptyParts)
  const { columns } = from.is === 'stage' ? from.stage.step : from.node
  const rows = { sql: emptyRows(plainTypes(columns)), columns, hidden: rowHidden }
  const mayChange = from.is === 'stage' && from.stage.step.corrections !== undefined
  return applySteps(mayChange ? withResult(rows) : rows, steps, emptyParts)
}

/** No rows of results that late rows may change. */
function withResult({ sql, columns, hidden }: Relation): Relation {
  return {
    sql: `SELECT CAST(NULL AS VARCHAR) AS ${resultColumn}, * FROM (${sql})`,
    columns,
    hidden: [...hidden, resultColumn],
  }
}

/** The types that operators computed are those that DuckDB finds. */
async function checkFlow(flow: Flow, executor: Pick<Executor, 'describe'>): Promise<void> {
  for (const { step, inputs } of stagesOf(flow)) {
    const read = inputs.map(emptyBranch)
    const placed = read.map(rows => besideRows(step, rows, step.beside && `(${step.beside.table(rows)})`))
    const empty = (channel: StateChannel) => emptyRows(channel.columns)
    const view = {
      rows: read[0] as Relation,
      partials: (channel: StateChannel) => [{ sql: empty(channel), isMerged: false }],
      committed: empty,
      own: empty,
      fromUs: null,
      toUs: 0n,
    }
    for (const { partial, input = 0, columns } of step.channels)
      await expectTypes(flow.name, executor, partial(placed[input] as Relation), columns)
    for (const { learn, columns } of step.learnt ?? []) await expectTypes(flow.name, executor, learn(view), columns)
    const { sql, columns } = step.emit(view)
    await expectTypes(flow.name, executor, visible({ sql, columns }), plainTypes(columns))
  }
  for (const leaf of leavesOf(flow.rows)) await expectAside(flow.name, executor, leaf)
  const updates = flow.terminal.emit === 'update' ? stagesOf(flow).at(-1)?.step.updates : undefined
  const output = updates ? emptyChanges(updates, flow) : emptyBranch(flow.rows)
  await expectTypes(flow.name, executor, visible(output), plainTypes(output.columns))
}

/** What was set aside is as the operator said. */
async function expectAside(name: string, executor: Pick<Executor, 'describe'>, leaf: Leaf): Promise<void> {
  if (leaf.is !== 'late') return
  const { stage, index, node } = leaf
  const { late, beside } = stage.step
  const read = emptyBranch(stage.inputs[index] as Branch)
  const rows = besideRows(stage.step, read, beside && `(${beside.table(read)})`)
  const table = `(${late.rows(rows)})`
  const found = { table, order: orderOf(rows), windows: late.columns, objects: "SELECT 0 AS seq, '' AS object" }
  await expectTypes(name, executor, visible(lateRelation(node, found)), plainTypes(node.columns))
}

function visible({ sql, columns }: Pick<Relation, 'sql' | 'columns'>): string {
  return `SELECT ${Object.keys(columns).map(id).join(', ')} FROM (${sql})`
}

/** What results change that no rows touch. */
function emptyChanges(updates: Updates, flow: Flow): Relation {
  const columns = stagesOf(flow).at(-1)?.step.channels[0].columns ?? {}
  const none = noResults(updates, changeUnit(flow.rows.steps), columns)
  const results = applySteps(none, flow.rows.steps, emptyParts)
  return changedRows(results, results, orderOf(none), '0')
}

/** The results that no rows touch. @param columns of the main channel */
function noResults(updates: Updates, unit: ChangeUnit, columns: ColumnTypes): Relation {
  const touched = `(${updates.touched(unit, emptyRows(columns), null)})`
  return updates.results(unit, channel => [{ sql: emptyRows(channel.columns), isMerged: false }], touched, null)
}

async function expectTypes(
  name: string,
  executor: Pick<Executor, 'describe'>,
  sql: string,
  expected: ColumnTypes,
): Promise<void> {
  const found = await executor.describe(sql)
  const names = Object.keys(expected)
  const canonical = (type: string | undefined) => type?.replaceAll('TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ')
  const wrong = names.find(column => canonical(found[column]) !== expected[column])
  if (wrong !== undefined || Object.keys(found).length !== names.length)
    throw new MillraceError(
      'fatal',
      'types',
      `${name}: millrace computed ${JSON.stringify(expected)} and DuckDB ${JSON.stringify(found)}. ` +
        'This is a defect of millrace; please report it.',
    )
}
