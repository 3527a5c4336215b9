import { MillraceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { Executor } from '../core/ports.ts'
import { canonicalTree, NoCanonicalForm } from './canonical.ts'
import { firstSentence } from './duckdb-sentence.ts'
import { type FunctionEntry, type FunctionRules, functionEntriesSql, functionRules } from './functions.ts'
import { parseExpression, positionOf, writeExpression } from './parse-expression.ts'
import { placeIn, Refusal, tooDeep } from './refusal.ts'
import { id, text } from './sql.ts'
import type { Tree } from './trees.ts'
import { createGuards, type Guards, walkExpression } from './walk-expression.ts'

/** Characters of one expression at most. */
export const expressionLengthMax = 10_000

export interface CheckedExpression {
  /** Columns are qualified by the alias, so it runs inside `SELECT <sql> AS x FROM (<relation>) AS <alias>` only. */
  readonly sql: string
  /** DuckDB's name for its type. It need not be a column type: `derive` casts it, `where` wants BOOLEAN. */
  readonly type: string
}

export interface Gate {
  /**
   * Lets one user-written expression through when it is a function of the row (S19), else throws a `user` error that
   * names step, field and expression. It is evaluated once, over a row of NULLs: what fails there can never work, such
   * as the comparison of a number with 'abc'.
   *
   * @param columns name -> SQL type (without NOT NULL) of the columns in scope
   */
  expression(
    sql: string,
    columns: Readonly<Record<string, string>>,
    where: { readonly step: string; readonly field: string },
    alias: string,
  ): Promise<CheckedExpression>
  /**
   * As `expression`, without a step to name.
   *
   * @throws Refusal with the place in the text
   */
  checked(sql: string, columns: Readonly<Record<string, string>>, alias: string): Promise<CheckedExpression>
  /**
   * The expression's canonical form (`canonicalTree`). Of text that this DuckDB does not parse, as an older one may
   * have done, it is the text itself: it equals only itself.
   *
   * @param columns names in scope
   */
  canonical(sql: string, columns: readonly string[]): Promise<Json>
}

/**
 * The gate for user SQL. DuckDB parses the text, this module walks the tree by a list of what is allowed (a node, key
 * or type that it does not know is refused), qualifies every column, and DuckDB writes the tree back as text. No text
 * of the user is ever part of a query except as a text literal.
 *
 * @param reasons why functions are refused, by name, where another one helps more than `functionRules` has
 */
export function createGate(
  executor: Pick<Executor, 'run' | 'rows' | 'describe'>,
  reasons?: ReadonlyMap<string, string>,
): Gate {
  let rules: FunctionRules | undefined
  let guards: Guards | undefined

  const check = async (
    sql: string,
    columns: Readonly<Record<string, string>>,
    alias: string,
  ): Promise<CheckedExpression> => {
    checkText(sql)
    const names = Object.keys(columns)
    const parsed = await parseExpression(executor, sql, names)
    rules ??= functionRules((await executor.rows(functionEntriesSql)) as unknown as FunctionEntry[], reasons)
    guards ??= await createGuards(guard => parseExpression(executor, guard))
    const scope = { rules, guards, columns: names, alias, position: (node: Tree) => positionOf(node, sql) }
    const written = await writeExpression(executor, walkExpression(parsed, scope))
    const query = `SELECT (${written}) AS "value" FROM (${rowOfNulls(columns)}) AS ${id(alias)}`
    const bound = await executor.describe(query).catch((error: unknown) => {
      throw new Refusal(`DuckDB does not accept it: ${firstSentence(error)}`, { cause: error })
    })
    // Types fit, and still constants may not: they are cast only when the expression is evaluated.
    const failure = await failureOfEvery(executor, written, columns, alias)
    if (failure !== undefined) throw new Refusal(`it can never work: ${firstSentence(failure)}`, { cause: failure })
    return { sql: written, type: bound.value ?? '' }
  }

  return {
    checked: check,
    async expression(sql, columns, where, alias) {
      try {
        return await check(sql, columns, alias)
      } catch (error) {
        // A RangeError is JavaScript's stack: the tree was too deep even to parse.
        const reason = error instanceof Refusal ? error.message : error instanceof RangeError ? tooDeep : undefined
        if (reason === undefined) throw error
        // Most fields begin with the step.
        const at = where.field.split(' ')[0] === where.step ? where.field : `${where.step}, ${where.field}`
        const position = error instanceof Refusal ? error.position : undefined
        const message = `${at}: ${reason} ${placeIn(sql, position)}`
        throw new MillraceError('user', 'expression', message, (error as Error).cause)
      }
    },
    async canonical(sql, columns) {
      try {
        checkText(sql)
        return canonicalTree(await parseExpression(executor, sql), columns)
      } catch (error) {
        if (error instanceof Refusal || error instanceof NoCanonicalForm) return ['text', sql]
        throw error
      }
    },
  }
}

function rowOfNulls(columns: Readonly<Record<string, string>>): string {
  const items = Object.entries(columns).map(([name, type]) => `CAST(NULL AS ${type}) AS ${id(name)}`)
  return `SELECT ${items.join(', ')}`
}

/** One row of ones, days and lists of them: NULL where a type takes none of these. */
function rowOfValues(columns: Readonly<Record<string, string>>): string {
  const texts = ['1', '2001-01-01', '[1]', '[2001-01-01]', '00000000-0000-0000-0000-000000000001']
  const items = Object.entries(columns).map(
    ([name, type]) =>
      `coalesce(${texts.map(value => `TRY_CAST(${text(value)} AS ${type})`).join(', ')}) AS ${id(name)}`,
  )
  return `SELECT ${items.join(', ')}`
}

/**
 * Why an expression fails whatever the row is, as one over a row of NULLs does; undefined where it may work for some
 * row. What minds the NULLs themselves (the key of a map, of a JSON object) is asked again over a row of values.
 *
 * @param sql over the alias
 */
export async function failureOfEvery(
  executor: Pick<Executor, 'run'>,
  sql: string,
  columns: Readonly<Record<string, string>>,
  alias: string,
): Promise<unknown> {
  const failureOver = async (row: string): Promise<unknown> => {
    try {
      await executor.run(`SELECT (${sql}) AS "value" FROM (${row}) AS ${id(alias)}`)
      return undefined
    } catch (error) {
      return error
    }
  }
  const failure = await failureOver(rowOfNulls(columns))
  if (failure === undefined || !/\bNULL\b/i.test(firstSentence(failure))) return failure
  const other = await failureOver(rowOfValues(columns))
  return other !== undefined && firstSentence(other) === firstSentence(failure) ? failure : undefined
}

/** With the `u` flag a pair is one character, so this finds halves only: they have no UTF-8 form. */
const loneSurrogate = /\p{Surrogate}/u

function checkText(sql: string): void {
  if (typeof sql !== 'string' || sql.trim() === '') throw new Refusal('the expression is empty.')
  if (sql.length > expressionLengthMax) {
    throw new Refusal(`it has ${sql.length} characters; at most ${expressionLengthMax} are allowed.`)
  }
  if (sql.includes('\0') || loneSurrogate.test(sql))
    throw new Refusal('it holds a NUL character or half a surrogate pair.')
}
