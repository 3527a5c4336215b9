import { MillraceError } from '../../src/core/errors.ts'
import type { Transaction } from './database.ts'
import { type FoundTable, quoted, tableName, type WantedTable } from './table.ts'
import { tokenTable } from './token.ts'

/** What the user needs: on which object, which privilege, and the function that tells whether it is there. */
interface Right {
  readonly ask: 'has_schema_privilege' | 'has_table_privilege' | 'has_database_privilege'
  readonly object: string
  readonly shown: string
  readonly privilege: string
}

/**
 * Looks before rows are committed that could not be published.
 *
 * @param isThrough whether rows go through a temporary table
 * @throws MillraceError `user` that says what to grant
 */
export async function checkRights(
  transaction: Transaction,
  wanted: WantedTable,
  found: FoundTable | undefined,
  hasTokens: boolean,
  isThrough: boolean,
): Promise<void> {
  const { schema, key, address } = wanted
  const [who] = await transaction.rows('SELECT current_user AS name, current_database() AS database')
  const database = String(who?.database)
  const tokens = `${quoted(schema)}.${quoted(tokenTable)}`
  const own = isThrough ? ['SELECT', 'INSERT', ...(key ? ['UPDATE', 'DELETE'] : [])] : ['INSERT']
  const rights: readonly Right[] = [
    ...(found && hasTokens ? [] : [onSchema(schema)]),
    ...(found ? own.map(privilege => onTable(tableName(wanted), privilege)) : []),
    ...(hasTokens ? ['SELECT', 'INSERT', 'UPDATE'].map(privilege => onTable(tokens, privilege)) : []),
    ...(isThrough ? [onDatabase(database)] : []),
  ]
  const lacking: string[] = []
  for (const { ask, object, shown, privilege } of rights) {
    const [row] = await transaction.rows(`SELECT ${ask}($1, $2) AS has`, [object, privilege])
    if (row?.has !== true) lacking.push(`GRANT ${privilege} ON ${shown} TO ${quoted(String(who?.name))}`)
  }
  if (lacking.length > 0)
    throw new MillraceError('user', 'output-denied', `${address}: the user may not write there. ${lacking.join('; ')}`)
}

function onSchema(schema: string): Right {
  return { ask: 'has_schema_privilege', object: schema, shown: `SCHEMA ${quoted(schema)}`, privilege: 'CREATE' }
}

function onTable(name: string, privilege: string): Right {
  return { ask: 'has_table_privilege', object: name, shown: name, privilege }
}

function onDatabase(name: string): Right {
  return { ask: 'has_database_privilege', object: name, shown: `DATABASE ${quoted(name)}`, privilege: 'TEMPORARY' }
}
