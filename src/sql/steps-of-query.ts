import { nearestName } from '../core/nearest.ts'
import type { Executor } from '../core/ports.ts'
import { parseColumnType } from '../core/types.ts'
import type { AskedSteps, WrittenStep } from '../plan/asked-steps.ts'
import { type PlanNode, inputOf } from '../plan/node.ts'
import type { ColumnTypes } from '../plan/relation.ts'
import type { OneInputStep } from '../plan/step.ts'
import { type Catalog, createCatalog } from './catalog.ts'
import { compileQuery } from './query/compile-query.ts'
import { parsedQuery } from './query/parsed-query.ts'
import { readQuery } from './query/read-query.ts'
import { createReader } from './reader.ts'
import { refuseOtherRows, refuseState } from './refuse-state.ts'
import { type Rows, rowsBehind } from './rows.ts'
import { type SqlFile, sqlError } from './sql-error.ts'
import { isToken, type Token, tokensOf } from './tokens.ts'

/**
 * The steps that a query of `sql(...)` stands for: those that the same query has in a file of SQL. DuckDB parses and
 * binds it, and nothing of it is run.
 *
 * @throws MillraceError `user` with the place in the query
 */
export async function stepsOfQuery(
  executor: Pick<Executor, 'run' | 'rows' | 'describe'>,
  { query: text, columns, at, input }: AskedSteps,
): Promise<readonly WrittenStep[]> {
  const file: SqlFile = { file: at?.file ?? 'sql', text, at }
  const catalog = createCatalog(file, { executor, environment: {}, formats: [], sinkKinds: [], announcers: [] })
  const before = rowsBehind(input)
  catalog.relations.set('_in', { is: 'rows', what: 'view', name: '_in', rows: before })
  const { node } = await rowsOf(catalog)
  if (columns) checkColumns(file, node.columns, columns)
  return stepsBetween(before.node, node)
}

async function rowsOf(catalog: Catalog): Promise<Rows> {
  const { file } = catalog
  try {
    const all = tokensOf(file)
    const end = all.at(-1) as Token
    const tokens = all.slice(0, isToken(all.at(-2), ';') ? -2 : -1)
    refuseState(file, tokens)
    const query = readQuery(createReader(file, tokens, end))
    refuseOtherRows(file, query)
    const checked = await parsedQuery(catalog.executor, file, query, tokens[0]?.from ?? 0, tokens.at(-1)?.to ?? 0)
    return await compileQuery({ catalog, named: new Map(), compile: compileQuery }, checked)
  } catch (error) {
    if (error instanceof RangeError)
      throw sqlError(file, 0, 'it is nested too deep; expected fewer brackets within brackets.', error)
    throw error
  }
}

/** What is said of the columns must be so. NULL may be ruled out where it cannot come, and need not. */
function checkColumns(file: SqlFile, found: ColumnTypes, declared: ColumnTypes): void {
  const names = Object.keys(found)
  for (const [name, type] of Object.entries(declared)) {
    const own = Object.hasOwn(found, name) ? found[name] : undefined
    if (own === undefined) {
      const near = nearestName(name, names)
      throw sqlError(
        file,
        0,
        `columns: the query gives no ${name}${near === undefined ? '' : `; did you mean ${near}?`} It gives ` +
          `${names.join(', ')}.`,
      )
    }
    const [is, said] = [parseColumnType(own, name), parseColumnType(type, name)]
    if (is.sql !== said.sql)
      throw sqlError(
        file,
        0,
        `columns: ${name} is ${is.sql}; expected the same, or CAST(... AS ${said.sql}) AS ${name} in the query, ` +
          `found ${said.sql}.`,
      )
    if (is.nullable && !said.nullable)
      throw sqlError(
        file,
        0,
        `columns: ${name} may be NULL; expected ${said.sql}, and for NULL as an error ` +
          `derive({ ${name}: ['${type}', '${name}'] }) behind this step.`,
      )
  }
  const other = names.find(name => !Object.hasOwn(declared, name))
  if (other !== undefined)
    throw sqlError(
      file,
      0,
      `columns: ${other} is not among them; expected all columns of the query: ${names.join(', ')}.`,
    )
}

function stepsBetween(from: PlanNode, to: PlanNode): readonly WrittenStep[] {
  if (to === from) return []
  const { step, options } = to
  if (step.is !== 'stateless' || step.unit !== undefined)
    throw new Error(`unreachable: a query of one row at a time became ${to.op}`)
  return [...stepsBetween(from, inputOf(to)), { step: step as OneInputStep, options }]
}
