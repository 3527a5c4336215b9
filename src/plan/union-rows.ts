import type { PlanNode } from './node.ts'
import { inputAlias, inputColumn, ordinalColumn, ordinalsMax, type Relation } from './relation.ts'
import { id, text } from './sql.ts'
import { type Branch, leafName, leavesOf } from './stages.ts'

interface Union {
  readonly node: PlanNode
  readonly branches: readonly Branch[]
}

/**
 * The rows of a union: those of its inputs, with the columns of the union.
 *
 * @param inputs the rows of each branch; undefined where it has none
 * @returns undefined where none has any
 */
export function unionRows({ node, branches }: Union, inputs: readonly (Relation | undefined)[]): Relation | undefined {
  const { step } = node
  if (step.is !== 'union') throw new Error(`unreachable: ${node.op} is no union`)
  const found = inputs.filter(input => input !== undefined)
  const [first] = found
  if (!first) return undefined
  const ordinalFor = ordinalOf(branches, found)
  const hidden = first.hidden.filter(name => name !== ordinalColumn && found.every(each => each.hidden.includes(name)))
  const rows = inputs.flatMap((input, index) => {
    if (!input) return []
    const items = step.items(input.columns, node.columns, index, node.options as never)
    const own = ordinalFor ? [`${ordinalFor(input, index)} AS ${ordinalColumn}`] : []
    return [
      `SELECT ${[...hidden.map(inputColumn), ...own, ...items].join(', ')} FROM (${input.sql}) AS ${id(inputAlias)}`,
    ]
  })
  return {
    sql: rows.join(' UNION ALL '),
    columns: node.columns,
    hidden: ordinalFor ? [...hidden, ordinalColumn] : hidden,
  }
}

/**
 * SQL of what tells rows apart that meet: objects of different sources have different numbers, but what one source
 * gives twice, or a stage gives at an entry of the ledger, may have the place of another row. Undefined where nothing
 * is needed.
 */
function ordinalOf(branches: readonly Branch[], inputs: readonly Relation[]) {
  const leaves = branches.flatMap(leavesOf)
  const areApart = leaves.every(({ is }) => is === 'source') && new Set(leaves.map(leafName)).size === leaves.length
  const isNumbered = ({ hidden }: Relation) => hidden.includes(ordinalColumn)
  if (areApart && !inputs.some(isNumbered)) return undefined
  const before = (input: Relation) => (isNumbered(input) ? inputColumn(ordinalColumn) : 'CAST(0 AS BIGINT)')
  if (areApart) return before
  return (input: Relation, index: number) => {
    const ordinal = `(${before(input)} * ${branches.length} + ${index})`
    if (!isNumbered(input)) return ordinal
    const most = Math.floor(ordinalsMax / branches.length)
    const message = `union: expected at most ${most} rows of one before it, found more`
    return `CASE WHEN ${before(input)} < ${most} THEN ${ordinal} ELSE error(${text(message)}) END`
  }
}
