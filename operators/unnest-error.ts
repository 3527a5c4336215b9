import { text } from '../src/plan/sql.ts'
import type { Asked } from './unnesting.ts'

/** Characters of a value that an error quotes. */
const foundMax = 200
/** Columns by which an error tells a row, and characters of each. */
const shownMax = 3
const shownTextMax = 50

/** SQL inside of the text of an error. */
export interface Sql {
  readonly sql: string
}

export const sql = (expression: string): Sql => ({ sql: expression })

const shownText = (expression: string, max: number) => sql(`coalesce(left(${expression}, ${max}), 'NULL')`)

/** The beginning of what was found. */
export const foundText = (expression: string): Sql => shownText(expression, foundMax)

/** SQL that raises. @param parts text as it is, and SQL */
export function fail(parts: readonly (string | Sql)[]): string {
  return `error(concat(${parts.map(part => (typeof part === 'string' ? text(part) : part.sql)).join(', ')}))`
}

/** `row 7 (id 5, zone 3)`: where the row stands in its object, and its first values. */
export function rowParts({ input, others }: Asked, column: (name: string) => string): readonly (string | Sql)[] {
  const values = others
    .slice(0, shownMax)
    .flatMap((name, index) => [
      `${index === 0 ? '' : ', '}${name} `,
      shownText(`CAST(${column(name)} AS VARCHAR)`, shownTextMax),
    ])
  const at = input.hidden.includes('_row') ? ['row ', sql(column('_row'))] : ['the row']
  return values.length === 0 ? at : [...at, ' (', ...values, ')']
}
