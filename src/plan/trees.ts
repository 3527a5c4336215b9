/** A node of the tree in which DuckDB hands out a parsed expression. */
export type Tree = Readonly<Record<string, unknown>>

/** What DuckDB's parser calls TIMESTAMPTZ. */
export const zoned = 'TIMESTAMP WITH TIME ZONE'

/** The tree with another node wherever `other` gives one; nothing inside that is looked at. */
export function replaced(tree: unknown, other: (node: Tree) => Tree | undefined): unknown {
  // Numbers keep their text in an object that JSON.stringify knows.
  if (typeof tree !== 'object' || tree === null || 'rawJSON' in tree) return tree
  if (Array.isArray(tree)) return tree.map(item => replaced(item, other))
  const node = tree as Tree
  return other(node) ?? Object.fromEntries(Object.entries(node).map(([key, item]) => [key, replaced(item, other)]))
}

/** The tree with others in the places of its columns. */
export function filled(tree: Tree, columns: Readonly<Record<string, Tree>>): Tree {
  return replaced(tree, node =>
    node.class === 'COLUMN_REF' ? columns[String((node.column_names as readonly unknown[])[0])] : undefined,
  ) as Tree
}
