import type { Catalog } from '../catalog.ts'
import type { Reader } from '../reader.ts'
import { nameRelation } from './named.ts'
import { queryOf } from './query-of.ts'

/** `CREATE VIEW name AS SELECT ...`: a branch that several flows share. */
export async function createView(reader: Reader, catalog: Catalog): Promise<void> {
  const name = reader.name('the name of the view, as in CREATE VIEW hourly AS SELECT ...')
  reader.expect('AS', `AS and a query behind ${name.value}`)
  const rows = await queryOf(reader, catalog)
  nameRelation(catalog, name, { is: 'rows', what: 'view', name: name.value, rows })
}
