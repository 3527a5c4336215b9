import { union } from '../../../operators/union.ts'
import type { Stream } from '../../plan/stream.ts'
import type { Named } from '../catalog.ts'
import { begun, type Rows } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { isBlock, type Query } from './parts.ts'
import type { QueryContext } from './relation.ts'
import { selected } from './select.ts'

/** The rows of a query: of what WITH names, of each SELECT, and of all of them as one. */
export async function compileQuery(context: QueryContext, query: Query): Promise<Rows> {
  const { file } = context.catalog
  const named = new Map(context.named)
  const own = { ...context, named }
  for (const { name, query: inner } of query.named) {
    const key = name.value.toLowerCase()
    if (query.named.some(other => other.name !== name && other.name.value.toLowerCase() === key))
      throw sqlError(file, name.from, `two queries are called ${name.value}; expected names of their own.`)
    const rows = await compileQuery({ ...own, named: new Map(named) }, inner)
    named.set(key, { is: 'rows', what: 'view', name: name.value, rows } satisfies Named)
  }
  const all: Rows[] = []
  for (const part of query.blocks) all.push(isBlock(part) ? await selected(own, part) : await compileQuery(own, part))
  const [first, second, ...others] = all
  if (!first) throw new Error('unreachable: a query has a SELECT')
  if (!second) return first
  return begun(
    file,
    query.at,
    () => union(...([first, second, ...others].map(({ flow }) => flow) as never as [never, never])) as Stream<unknown>,
  )
}
