import type { Catalog } from '../catalog.ts'
import { compileQuery } from '../query/compile-query.ts'
import { parsedQuery } from '../query/parsed-query.ts'
import { readQuery } from '../query/read-query.ts'
import type { Reader } from '../reader.ts'
import type { Rows } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { isToken } from '../tokens.ts'

/** The rows of the query that the rest of a statement is. */
export async function queryOf(reader: Reader, catalog: Catalog): Promise<Rows> {
  const { from } = reader.peek()
  const tokens = reader.until(token => isToken(token, ';'))
  const emit = tokens.find((token, index) => isToken(token, 'EMIT') && tokens[index + 1]?.is === 'word')
  if (emit)
    throw sqlError(
      catalog.file,
      emit.from,
      'EMIT stands before the query; expected INSERT INTO sink EMIT UPDATE SELECT ..., or no EMIT for results ' +
        'that are final.',
    )
  const query = readQuery(reader.within(tokens, reader.peek()))
  const checked = await parsedQuery(catalog.executor, catalog.file, query, from, tokens.at(-1)?.to ?? from)
  return compileQuery({ catalog, named: new Map(), compile: compileQuery }, checked)
}
