import { lookupOptions } from '../../plan/lookup.ts'
import { lookup, lookupDefinition } from '../../../operators/lookup.ts'
import type { Json } from '../../core/json.ts'
import type { Catalog } from '../catalog.ts'
import { declared, type ListedColumn, readColumn } from '../column-list.ts'
import type { Reader } from '../reader.ts'
import { sqlError } from '../sql-error.ts'
import { called, readWith } from '../with-options.ts'
import { keepOutOfPlan } from './keep-out-of-plan.ts'
import { nameRelation } from './named.ts'
import { objectOptions } from './object-options.ts'

/** `CREATE LOOKUP name (column TYPE, ..., PRIMARY KEY (column)) WITH (objects = '...', format = '...')` */
export function createLookup(reader: Reader, catalog: Catalog): void {
  const name = reader.name(
    'the name of the lookup, as in CREATE LOOKUP zones (id BIGINT NOT NULL, PRIMARY KEY (id)) WITH (...)',
  )
  const columns: ListedColumn[] = []
  let key: readonly string[] | undefined
  reader.expect('(', `( and the columns behind ${name.value}`)
  while (!reader.take(')')) {
    if (reader.take('PRIMARY', 'KEY')) key = readKey(reader)
    else columns.push(readColumn(reader, `lookup ${name.value}`))
    if (!reader.isAt(')')) reader.expect(',', ', or ) behind a column')
  }
  const given = readWith(reader, catalog)
  const at = { what: `lookup ${name.value}`, from: name.from }
  if (!key)
    throw sqlError(
      catalog.file,
      name.from,
      `${at.what}: its key is missing; expected PRIMARY KEY (column) behind the columns.`,
    )
  const { key: _, ...table } = lookupOptions
  const options = { ...objectOptions(catalog, at, table, given), columns: declared(reader, columns), key }
  const made = called(catalog.file, name.from, given, () => lookup(name.value, options as never))
  const definition = lookupDefinition(made)
  keepOutOfPlan(catalog, at, given, definition?.settings as unknown as Json)
  nameRelation(catalog, name, {
    is: 'lookup',
    name: name.value,
    lookup: made as never,
    columns: definition?.settings.columns ?? {},
  })
}

function readKey(reader: Reader): readonly string[] {
  const names: string[] = []
  reader.expect('(', '( and the columns of the key')
  while (!reader.take(')')) {
    names.push(reader.name('a column of the key').value)
    if (!reader.isAt(')')) reader.expect(',', ', or ) behind a column')
  }
  return names
}
