import { replaced, type Tree } from './trees.ts'

/**
 * Found by test/plan/row-values.test.ts, which evaluates every function and cast beside rows that a filter takes out.
 */
const functions: ReadonlySet<string> = new Set(['date_trunc', 'datetrunc', 'epoch_ms', 'epoch_ns', 'epoch_us'])
const castTypes: ReadonlySet<unknown> = new Set(['DATE', 'TIME WITH TIME ZONE'])

/**
 * Whether DuckDB 1.5 computes this function for a column's least and greatest value too, while it plans. Where these
 * are far dates, of which it knows no month, the query fails for rows that were not even asked for.
 */
export function isCallOfBounds(name: string): boolean {
  return functions.has(name)
}

/** The same of a cast to this parsed type. */
export function isCastOfBounds(type: Tree): boolean {
  return castTypes.has(type.id)
}

/**
 * TRY of a plain column is the column itself, of which the planner knows no bounds. It costs nothing that can be
 * measured.
 */
export function withoutBounds(tree: Tree): Tree {
  return replaced(tree, node => {
    if (node.class === 'COLUMN_REF') return { class: 'OPERATOR', type: 'OPERATOR_TRY', alias: '', children: [node] }
    const [child] = node.type === 'OPERATOR_TRY' ? (node.children as readonly Tree[]) : []
    if (child?.class === 'COLUMN_REF') return node
    // Parameters of a lambda stand as columns before its body.
    return node.class === 'LAMBDA' ? { ...node, expr: withoutBounds(node.expr as Tree) } : undefined
  }) as Tree
}
