import type { Observable } from 'rxjs'
import { MillraceError } from '../../core/errors.ts'
import type { Catalog } from '../catalog.ts'
import type { Reader } from '../reader.ts'
import { siteOf, sqlError } from '../sql-error.ts'
import { nameRelation } from './named.ts'

const form = "CREATE FUNCTION browsers LANGUAGE typescript FROM './rows.ts'"

/**
 * `CREATE FUNCTION name LANGUAGE typescript FROM './rows.ts'`: an operator that a file exports, by this name or as its
 * default. The file is imported when all that does not need it is bound.
 */
export function createFunction(reader: Reader, catalog: Catalog): void {
  const name = reader.name(`the name of the function, as in ${form}`)
  reader.expect('LANGUAGE', `LANGUAGE typescript FROM, as in ${form}`)
  if (!reader.isAt('TYPESCRIPT')) reader.fail(`typescript, as in ${form}`)
  reader.next()
  reader.expect('FROM', `FROM and a file, as in ${form}`)
  const path = reader.peek()
  if (path.is !== 'text') reader.fail(`a file in quotes, as in ${form}`)
  reader.next()
  if (!/^\.\.?\//.test(path.value))
    throw sqlError(
      catalog.file,
      path.from,
      `a file is named from where the SQL file lies, and no address is; expected ${form}.`,
    )
  nameRelation(catalog, name, { is: 'pending', name: name.value, what: 'function' })
  catalog.functions.push({ name, load: () => operatorOf(catalog, name.value, path.value, path.from) })
}

async function operatorOf(
  catalog: Catalog,
  name: string,
  path: string,
  at: number,
): Promise<(rows: Observable<unknown>) => Observable<unknown>> {
  if (!catalog.load)
    throw sqlError(
      catalog.file,
      at,
      'functions are read from files, and this text lies in none; expected a file of SQL.',
    )
  let exported: Readonly<Record<string, unknown>>
  try {
    exported = await catalog.load(path)
  } catch (error) {
    if (error instanceof MillraceError && error.kind === 'user' && !error.at)
      throw new MillraceError(error.kind, error.code, error.message, error.cause, siteOf(catalog.file, at))
    throw error
  }
  const found = exported[name] ?? exported.default
  if (typeof found === 'function' && 'step' in found) return found as never
  throw sqlError(
    catalog.file,
    at,
    `${path} exports no operator called ${name}, and none as its default; expected one, such as export const ` +
      `${name} = mapRows(row => row, { zone: 'BIGINT' }).`,
  )
}
