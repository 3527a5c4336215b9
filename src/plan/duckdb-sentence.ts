import { errorMessage } from '../core/errors.ts'

/**
 * DuckDB adds the query and a caret below its sentence; the query is ours, not the user's. It names types as it holds
 * them, and LIKE as it calls it.
 */
export function firstSentence(error: unknown): string {
  const [sentence = ''] = errorMessage(error).split(/\n+LINE \d+: /)
  return sentence
    .trim()
    .replace(/^(?:Binder|Conversion|Invalid Input|Out of Range|Catalog|Parser|Not implemented) Error: /, '')
    .replaceAll(/\bU?INT(?:8|16|32|64|128)\b/g, name => sqlTypeOf[name] ?? name)
    .replaceAll(/'(!?)~~(\*?)\(/g, (_, not: string, any: string) => `'${not ? 'NOT ' : ''}${any ? 'I' : ''}LIKE(`)
    .replace(/(?<![.!?])$/, '.')
}

const sqlTypeOf: Readonly<Record<string, string>> = {
  INT8: 'TINYINT',
  INT16: 'SMALLINT',
  INT32: 'INTEGER',
  INT64: 'BIGINT',
  INT128: 'HUGEINT',
  UINT8: 'UTINYINT',
  UINT16: 'USMALLINT',
  UINT32: 'UINTEGER',
  UINT64: 'UBIGINT',
  UINT128: 'UHUGEINT',
}
