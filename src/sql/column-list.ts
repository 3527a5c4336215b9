import { type ColumnDeclaration, declarationsOf } from '../core/column-declaration.ts'
import { MillraceError } from '../core/errors.ts'
import type { Reader } from './reader.ts'
import { siteOf, sqlError } from './sql-error.ts'
import { isToken, type Token } from './tokens.ts'

/** A column's name and its declaration: `TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]`. */
export interface ListedColumn {
  readonly name: string
  readonly declaration: string
  readonly parsed: ColumnDeclaration
  readonly at: number
}

/** Reads one column up to a comma or the closing bracket. @param what it is a column of, for messages */
export function readColumn(reader: Reader, what: string): ListedColumn {
  const name = reader.name(`the name of a column, as in ${what} (zone BIGINT, fare DOUBLE)`)
  const tokens = reader.until(token => isToken(token, ',') || isToken(token, ')'))
  if (tokens.length === 0) reader.fail(`a type behind ${name.value}, such as BIGINT`)
  const declaration = joined(tokens)
  try {
    const { [name.value]: parsed } = declarationsOf({ [name.value]: declaration }, what)
    return { name: name.value, declaration, parsed: parsed as ColumnDeclaration, at: name.from }
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    throw new MillraceError(
      error.kind,
      error.code,
      error.message,
      error.cause,
      siteOf(reader.file, tokens[0]?.from ?? name.from),
    )
  }
}

/** The columns by name, each once. */
export function declared(reader: Reader, columns: readonly ListedColumn[]): Readonly<Record<string, string>> {
  const twin = columns.find(({ name }, index) => columns.findIndex(other => other.name === name) !== index)
  if (twin) throw sqlError(reader.file, twin.at, `column ${twin.name} is there twice; expected each column once.`)
  return Object.fromEntries(columns.map(({ name, declaration }) => [name, declaration]))
}

/** Tokens with one blank between them and none beside brackets: comments and line breaks are no part of a type. */
function joined(tokens: readonly Token[]): string {
  return tokens
    .map(({ text }, index) => {
      const before = tokens[index - 1]?.text
      const isClose =
        index === 0 || '()[],'.includes(text) || before === '(' || before === ',' || before === '-' || before === '+'
      return isClose ? text : ` ${text}`
    })
    .join('')
}
