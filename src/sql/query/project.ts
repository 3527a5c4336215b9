import { rename } from '../../../operators/rename.ts'
import { derive } from '../../../operators/derive.ts'
import { select } from '../../../operators/select.ts'
import type { Catalog } from '../catalog.ts'
import { type Rows, followed } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { castOf, columnTypeOf, type Expression, treeOf } from './expression.ts'
import type { Token } from '../tokens.ts'

/** A column of what a SELECT gives: one of its rows as it is, by another name, or made by an expression. */
export type Output =
  | { readonly is: 'column'; readonly from: string; readonly name: string; readonly at: number }
  | { readonly is: 'made'; readonly name: string; readonly type: string; readonly sql: string; readonly at: number }

/**
 * A column that an expression makes. What is cast as a whole is a column of that type.
 *
 * @param rewrite tokens as the step takes them
 */
export async function madeColumn(
  catalog: Catalog,
  rows: Rows,
  name: string,
  tokens: readonly Token[],
  rewrite: (part: readonly Token[]) => Expression,
): Promise<Output> {
  const { columns } = rows.node
  const expression = rewrite(tokens)
  const tree = await treeOf(catalog, expression, Object.keys(columns))
  const type = await columnTypeOf(catalog, expression, columns, name)
  const { sql } = (await castOf(catalog, tokens, tree, rewrite)) ?? expression
  return { is: 'made', name, type, sql, at: expression.from }
}

/** The rows with these columns, in this order; steps that would change nothing are left out. */
export function project(catalog: Catalog, rows: Rows, outputs: readonly Output[], at: number): Rows {
  const { file } = catalog
  for (const [index, { name, at: place }] of outputs.entries()) {
    const twin = outputs.findIndex(other => other.name.toLowerCase() === name.toLowerCase())
    if (twin !== index)
      throw sqlError(file, place, `two columns would be called ${name}; expected each name once: ... AS other_name.`)
  }
  const plain = outputs.filter(each => each.is === 'column')
  const made = outputs.filter(each => each.is === 'made')
  const renamed = plain.filter(({ from, name }) => from !== name)
  const uses = (column: string) => plain.filter(({ from }) => from === column).length
  const isTaken = (column: string) => made.some(({ name }) => name.toLowerCase() === column.toLowerCase())
  // A column that comes twice, or whose place another one takes, is made anew.
  const copied = renamed.filter(({ from }) => uses(from) > 1 || isTaken(from))
  const derived = [
    ...made.map(({ name, type, sql, at: place }) => ({ name, type, sql, place })),
    ...copied.map(({ from, name, at: place }) => ({
      name,
      type: String(rows.node.columns[from]),
      sql: quoted(from),
      place,
    })),
  ]
  let found = rows
  const [first] = derived
  if (first)
    found = followed(found, file, first.place, () =>
      derive(Object.fromEntries(derived.map(({ name, type, sql }) => [name, [type, sql]])) as never),
    )
  const names = Object.fromEntries(renamed.filter(each => !copied.includes(each)).map(({ from, name }) => [from, name]))
  const kept = outputs.map(each => (each.is === 'column' && !copied.includes(each) ? each.from : each.name))
  if (Object.keys(found.node.columns).join('\0') !== kept.join('\0'))
    found = followed(found, file, at, () => select(...(kept as never[])))
  if (Object.keys(names).length > 0) found = followed(found, file, at, () => rename(names as never))
  return found
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
