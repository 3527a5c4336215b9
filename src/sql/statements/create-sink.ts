import { type Sink, sinkOptions } from '../../plan/sink.ts'
import { toOptions } from '../../../operators/to.ts'
import type { Catalog } from '../catalog.ts'
import type { Reader } from '../reader.ts'
import { sqlError } from '../sql-error.ts'
import { called, readWith, valuesOf, type WithOptions } from '../with-options.ts'
import { keepOutOfPlan } from './keep-out-of-plan.ts'
import { describedBy } from './object-options.ts'

/** `CREATE SINK name WITH (connector = 'files', path = '...', format = 'parquet')` */
export function createSink(reader: Reader, catalog: Catalog): void {
  const name = reader.name(
    "the name of the sink, as in CREATE SINK out WITH (connector = 'files', path = 'data/output', format = 'parquet')",
  )
  const at = { what: `sink ${name.value}`, from: name.from }
  const key = name.value.toLowerCase()
  if (catalog.sinks.has(key))
    throw sqlError(catalog.file, name.from, `another sink is called ${name.value} already; expected a name of its own.`)
  const given = readWith(reader, catalog)
  const kind = describedBy(catalog, at, catalog.sinkKinds, 'connector', given)
  const { emit: _, ...ofFlow } = toOptions
  const table = kind.options ?? {}
  const [place = ''] = Object.keys(table).filter(option => table[option]?.isPositional)
  const named: WithOptions = new Map(
    [...given].flatMap(([option, value]) =>
      option === 'connector'
        ? []
        : [[option === 'path' && !Object.hasOwn(table, 'path') ? place : option, value] as const],
    ),
  )
  const isOfFlow = ([option]: readonly [string, unknown]) => Object.hasOwn(ofFlow, option)
  const own: WithOptions = new Map([...named].filter(each => !isOfFlow(each)))
  const values = valuesOf(catalog.file, at, table, own)
  const options = valuesOf(catalog.file, at, ofFlow, new Map([...named].filter(isOfFlow)))
  if (place !== '' && values[place] === undefined)
    throw sqlError(
      catalog.file,
      name.from,
      `${at.what}: path is missing; expected path = ${table[place]?.kind.expected}.`,
    )
  const sink = called(catalog.file, name.from, own, () => kind.make?.(values) as Sink)
  keepOutOfPlan(catalog, at, given, sinkOptions(sink))
  catalog.sinks.set(key, { name: name.value, sink, options })
}
