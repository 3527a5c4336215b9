import { didYouMean } from '../../core/nearest.ts'
import { to, type ToOptions } from '../../../operators/to.ts'
import type { Catalog } from '../catalog.ts'
import type { Reader } from '../reader.ts'
import { ended } from '../rows.ts'
import { sqlError } from '../sql-error.ts'
import { queryOf } from './query-of.ts'

/** `INSERT INTO sink [EMIT UPDATE] SELECT ...`: a flow. */
export async function insertInto(reader: Reader, catalog: Catalog): Promise<void> {
  const name = reader.name('the name of a sink, as in INSERT INTO out SELECT ...')
  const found = catalog.sinks.get(name.value.toLowerCase())
  if (!found) {
    const names = [...catalog.sinks.values()].map(each => each.name)
    throw sqlError(
      catalog.file,
      name.from,
      `no sink is called ${name.value}${didYouMean(name.value, names)}; expected ` +
        `${names.length === 0 ? 'a CREATE SINK before it' : `one of ${names.join(', ')}`}.`,
    )
  }
  const emit = reader.peek()
  const emits = reader.take('EMIT')
  if (emits && !reader.take('UPDATE')) reader.fail('UPDATE behind EMIT')
  if (reader.isAt('(')) reader.fail('a query: the columns of the results are those of SELECT, by their names')
  const rows = await queryOf(reader, catalog)
  const options: ToOptions = { ...found.options, ...(emits ? { emit: 'update' } : {}) }
  catalog.flows.set(
    catalog.statement,
    ended(rows, catalog.file, emits ? emit.from : name.from, () => to(found.sink as never, options)),
  )
}
