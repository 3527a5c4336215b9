import { MillraceError } from '../core/errors.ts'
import { chain, foldStep, line, type PlanNode, way } from './node.ts'
import type { ColumnTypes, Relation } from './relation.ts'
import { id } from './sql.ts'
import type { ChangeUnit, Updates } from './step.ts'

/** When results are given: each once, when it is final, or what has changed of them, in each epoch (S15). */
export type Emit = 'final' | 'update'

/** What rows of changes have before the columns of a result: what becomes of that, and in which epoch. */
export const changeColumns = { _op: 'VARCHAR NOT NULL', _epoch: 'BIGINT NOT NULL' } as const satisfies ColumnTypes
const [opColumn, epochColumn] = Object.keys(changeColumns) as ['_op', '_epoch']

/** What a result depends on that goes through these steps: where one of them ranks, the whole window. */
export function changeUnit(steps: readonly { readonly node: PlanNode }[]): ChangeUnit {
  const isOfWindow = steps.some(({ node: { step } }) => step.is === 'stateless' && step.unit === 'window')
  return isOfWindow ? 'window' : 'group'
}

/** The same as the end of a flow has it. */
export function asksForChanges(emit: Emit | undefined): { readonly emit?: 'update' } {
  return emit === 'update' ? { emit } : {}
}

/** The columns that a flow hands to its end. */
export function endColumns({ emit, node }: { readonly emit?: 'update'; readonly node: PlanNode }): ColumnTypes {
  return emit === 'update' ? { ...changeColumns, ...node.columns } : node.columns
}

/** What tells the results of a flow apart, where it gives changes of them. */
export function changesBy({
  emit,
  node,
}: {
  readonly emit?: 'update'
  readonly node: PlanNode
}): readonly string[] | undefined {
  return emit === 'update' ? updateKey(node, 'to') : undefined
}

/** Those of them that are a result's own. */
export function resultColumns(columns: readonly string[]): readonly string[] {
  return columns.filter(name => !Object.hasOwn(changeColumns, name))
}

/**
 * The columns by which the results of a flow are told apart, under the names that they have at its end.
 *
 * @param op that asks for changes: names it in errors
 * @throws MillraceError `user` where results never change, or no longer tell of which group they are
 */
export function updateKey(end: PlanNode, op: string): readonly string[] {
  const fail = (what: string) => new MillraceError('user', 'plan', `${op}: emit: 'update' ${what}`)
  const nodes = way(end)
  const states = nodes.filter(({ step }) => step.is === 'stateful')
  const [state, next] = states
  if (!state) throw fail('needs results that change; add a window and aggregate({...}), or leave the option out.')
  if (next)
    throw fail(
      `is for one step that keeps state, and here are ${states.map(({ op }) => op).join(' and ')}: ` +
        'what one has taken from another cannot be taken back. Leave the option out.',
    )
  const { key } = updatesOf(state, fail)
  const all = line(end)
  if (!all.includes(state)) throw fail(`cannot look behind ${all[0]?.op}, which takes other rows as well.`)
  return keyAfter(key, all.slice(all.indexOf(state) + 1), fail)
}

/**
 * The columns that tell results apart, under the names that they have behind these steps.
 *
 * @param fail makes an error of what is wrong: a sentence without its subject
 */
export function keyAfter(
  key: Updates['key'],
  steps: readonly PlanNode[],
  fail: (what: string) => MillraceError,
): readonly string[] {
  return key.map(names => {
    const after = names.map(name => nameAfter(name, steps))
    const found = after.flatMap(one => one.name ?? [])[0]
    if (found !== undefined) return found
    const lost = after[0] as NameAfter
    if (steps.some(({ op, step }) => step.is === 'lookup' && op === lost.lostBy))
      throw fail(`cannot look behind ${lost.lostBy} with a lookup, whose rows may change; put it before the window.`)
    const which = names.map(name => `'${name}'`).join(' or ')
    if (lost.mayBeThere)
      throw fail(`cannot look behind ${lost.lostBy}, whose rows may be any; put it before the window.`)
    throw fail(`tells results apart by their column ${which}, which ${lost.lostBy} does not hand on; keep it.`)
  })
}

function updatesOf(state: PlanNode, fail: (what: string) => MillraceError): Updates {
  if (state.step.is !== 'stateful') throw new Error(`unreachable: ${state.op} keeps no state`)
  const { updates } = foldStep(state.inputs, state.step, state.options as never)
  if (updates) return updates
  const window = chain(state).find(({ step }) => step.is === 'window' && step.op !== undefined)
  const over = state.step.takes === 'groups' && window ? ` over ${window.op}(...)` : ''
  throw fail(`cannot follow ${state.op}${over}, whose rows are given once; leave the option out.`)
}

interface NameAfter {
  readonly name?: string
  /** The step that does not hand the column on. */
  readonly lostBy?: string
  /** It may hand it on; but its rows are not row by row those that it takes. */
  readonly mayBeThere?: boolean
}

function nameAfter(name: string, steps: readonly PlanNode[]): NameAfter {
  let current = name
  for (const { op, step, options } of steps) {
    const next = step.is === 'stateless' ? step.carries?.(current, options as never) : undefined
    if (next === undefined) return { lostBy: op, mayBeThere: step.is !== 'stateless' || step.carries === undefined }
    current = next
  }
  return { name: current }
}

/**
 * What must be done to results as they were for them to be as they are: a row for each that is new or another, with
 * its columns as they are, and for each that is gone, with its columns as they were.
 *
 * @param key hidden columns: rows that are equal in them are the same result
 * @param epoch SQL
 */
export function changedRows(before: Relation, after: Relation, key: readonly string[], epoch: string): Relation {
  const columns = [...key, ...Object.keys(after.columns)].map(id).join(', ')
  const isSame = key.map(name => `b.${id(name)} IS NOT DISTINCT FROM a.${id(name)}`).join(' AND ')
  const change = (op: 'upsert' | 'delete', rows: string) =>
    `SELECT '${op}' AS ${opColumn}, CAST(${epoch} AS BIGINT) AS ${epochColumn}, ${columns} FROM ${rows}`
  return {
    sql:
      `WITH _before AS MATERIALIZED (SELECT ${columns} FROM (${before.sql})), ` +
      `_after AS MATERIALIZED (SELECT ${columns} FROM (${after.sql})) ` +
      `${change('upsert', '(FROM _after EXCEPT FROM _before)')} UNION ALL ` +
      change('delete', `_before AS b ANTI JOIN _after AS a ON ${isSame}`),
    columns: { ...changeColumns, ...after.columns },
    hidden: key,
  }
}

/** Results as the changes that made them. @param rows a relation */
export function changesAsRows(rows: string, epoch: number): string {
  return `SELECT 'upsert' AS ${opColumn}, CAST(${epoch} AS BIGINT) AS ${epochColumn}, * FROM ${rows}`
}

/**
 * The latest view: what results are after all these changes.
 *
 * @param changes SQL with `changeColumns`
 * @param key as `updateKey` gave it
 * @param columns of the results
 */
export function latestSql(changes: string, key: readonly string[], columns: readonly string[]): string {
  const of = key.length === 0 ? '' : `PARTITION BY ${key.map(id).join(', ')} `
  return (
    `SELECT ${columns.map(id).join(', ')} FROM (SELECT * FROM ${changes} ` +
    `QUALIFY row_number() OVER (${of}ORDER BY ${epochColumn} DESC) = 1) WHERE ${opColumn} = 'upsert'`
  )
}
