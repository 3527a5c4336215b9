import { didYouMean } from '../../core/nearest.ts'
import type { Duration } from '../../core/duration.ts'
import { dedupe } from '../../../operators/dedupe.ts'
import type { Stream } from '../../plan/stream.ts'
import { type Catalog, type Named, NeedsFunction } from '../catalog.ts'
import { readInterval } from '../interval.ts'
import { createReader } from '../reader.ts'
import { begun, type Rows, followed } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { namedRelation } from '../statements/named.ts'
import { isToken } from '../tokens.ts'
import { windowArguments } from '../windows/read-window.ts'
import { windows } from '../windows/windows.ts'
import type { Input } from './input.ts'
import type { Call, Query, Relation } from './parts.ts'
import { needColumn, scopeOf } from './scope.ts'

/** What a query is compiled with: the statements before it, and the queries that WITH names. */
export interface QueryContext {
  readonly catalog: Catalog
  readonly named: ReadonlyMap<string, Named>
  compile(context: QueryContext, query: Query): Promise<Rows>
}

/** The rows of a source, view, query or window. */
export async function inputOf(context: QueryContext, relation: Relation): Promise<Input> {
  const { catalog } = context
  const alias = relation.alias?.value
  if (relation.is === 'query') {
    const rows = await context.compile(context, relation.query)
    return { rows, scope: scopeOf(rows.node.columns, alias) }
  }
  if (relation.is === 'call') return callOf(context, relation, alias)
  const found = namedRelation(catalog, relation.name, context.named)
  if (found.is === 'rows') return { rows: found.rows, scope: scopeOf(found.rows.node.columns, alias ?? found.name) }
  const what =
    found.is === 'lookup'
      ? `${found.name} is a lookup: rows are joined with it; expected FROM trips JOIN ${found.name} ON ...`
      : `${found.name} is a function of rows; expected ${found.name}(trips)`
  throw sqlError(catalog.file, relation.name.from, `${what}.`)
}

async function callOf(
  context: QueryContext,
  call: Call & { readonly alias?: unknown },
  alias: string | undefined,
): Promise<Input> {
  const { catalog } = context
  const { file } = catalog
  const name = call.name.value.toUpperCase()
  const window = windows.find(each => each.name === name)
  const made = context.named.get(call.name.value.toLowerCase()) ?? catalog.relations.get(call.name.value.toLowerCase())
  if (made?.is === 'pending') throw new NeedsFunction()
  if (!window && name !== 'DEDUPE' && made?.is !== 'function') throw unknownCall(context, call)
  const before = await inputOf(context, call.of)
  if (before.window)
    throw sqlError(
      file,
      call.name.from,
      `${name} takes rows, and ${before.window.function.name} gives windows; expected a query in brackets: ` +
        `${name}((SELECT ... FROM ${before.window.function.form} GROUP BY window_start, window_end), ...).`,
    )
  const own = alias ?? nameOf(call.of)
  if (window) {
    const given = windowArguments(file, window, call)
    followed(before.rows, file, call.name.from, () => window.make(given))
    return {
      ...before,
      scope: scopeOf(before.rows.node.columns, own),
      window: { function: window, at: call.name.from, arguments: given },
    }
  }
  if (made?.is === 'function') {
    if (call.more.length > 0)
      throw sqlError(file, call.name.from, `${made.name} takes rows and nothing else; expected ${made.name}(trips).`)
    const rows = begun(file, call.name.from, () => before.rows.flow.pipe(made.map as never) as Stream<unknown>)
    return { rows, scope: scopeOf(rows.node.columns, alias ?? made.name) }
  }
  return { ...before, ...dedupeOf(context, call, before, own) }
}

/** `DEDUPE(trips, trip_id, INTERVAL '1 day', keep := 'last')`: one column of the key or several, followed how long. */
function dedupeOf({ catalog: { file } }: QueryContext, call: Call, before: Input, alias: string | undefined): Input {
  const form = "DEDUPE(trips, trip_id, INTERVAL '1 day')"
  const plain = call.more.filter(({ name }) => !name)
  const horizon = plain.at(-1)
  const keep = call.more.find(({ name }) => name?.value.toLowerCase() === 'keep')
  const stranger = call.more.find(each => each.name && each !== keep)
  if (stranger)
    throw sqlError(file, stranger.name?.from ?? 0, `DEDUPE takes no such option; expected keep := 'last', or none.`)
  if (!horizon || !isToken(horizon.tokens[0], 'INTERVAL'))
    throw sqlError(
      file,
      horizon?.tokens[0]?.from ?? call.end.from,
      `DEDUPE would remember every key for ever: its bound is missing; expected ${form}.`,
    )
  if (plain.length < 2)
    throw sqlError(file, horizon.tokens[0]?.from ?? 0, `DEDUPE: its key is missing; expected ${form}.`)
  const reader = createReader(file, horizon.tokens, call.end)
  const within = readInterval(reader)
  if (reader.peek().is !== 'end') reader.fail(`, or ), as in ${form}`)
  const key = plain
    .slice(0, -1)
    .map(({ tokens }) => needColumn(file, tokens, before.scope, `a column of the key, as in ${form}`))
  const options = keep ? { keep: (keep.tokens[0]?.value ?? '') as 'last' } : undefined
  const rows = followed(before.rows, file, call.name.from, () =>
    dedupe(key as never, within as Duration, options as never),
  )
  return { rows, scope: scopeOf(rows.node.columns, alias) }
}

function nameOf(relation: Relation): string | undefined {
  if (relation.alias) return relation.alias.value
  if (relation.is === 'name') return relation.name.value
  return relation.is === 'call' ? nameOf(relation.of) : undefined
}

function unknownCall({ catalog, named }: QueryContext, { name }: Call) {
  const functions = [...named.values(), ...catalog.relations.values()].flatMap(each =>
    each.is === 'function' ? [each.name] : [],
  )
  const names = [...windows.map(each => each.name), 'DEDUPE', ...functions]
  return sqlError(
    catalog.file,
    name.from,
    `rows do not come from ${name.value}(...)${didYouMean(name.value, names)}; expected ` +
      `${windows.map(({ form }) => form).join(', ')}, ` +
      "DEDUPE(trips, trip_id, INTERVAL '1 day'), or a function of CREATE FUNCTION.",
  )
}
