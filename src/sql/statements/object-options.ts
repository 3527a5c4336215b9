import { showValue } from '../../core/errors.ts'
import { didYouMean } from '../../core/nearest.ts'
import type { OptionTable } from '../../core/options.ts'
import type { Catalog } from '../catalog.ts'
import { sqlError } from '../sql-error.ts'
import { called, optionsBelow, optionsWithout, valuesOf, type WithOptions } from '../with-options.ts'

/** What describes a call of its own: a format, what announces objects, a sink. */
export interface Described<T> {
  readonly kind: string
  readonly options?: OptionTable
  make?(options: Readonly<Record<string, unknown>>): T
}

/** Where a message stands, and what it is about. */
export interface At {
  readonly what: string
  readonly from: number
}

/** The one of this kind. @param option the option that names it */
export function describedBy<T, D extends Described<T>>(
  catalog: Catalog,
  at: At,
  all: readonly D[],
  option: string,
  options: WithOptions,
): D {
  const kinds = all.filter(({ make }) => make !== undefined).map(({ kind }) => kind)
  const expected = kinds.map(kind => `'${kind}'`).join(' or ')
  const named = options.get(option)
  if (!named)
    throw sqlError(catalog.file, at.from, `${at.what}: ${option} is missing; expected WITH (${option} = ${expected}).`)
  const found = all.find(({ kind }) => kind === named.value)
  if (found?.make) return found
  const meant = typeof named.value === 'string' ? didYouMean(named.value, kinds) : ''
  throw sqlError(
    catalog.file,
    named.at,
    `${at.what}: ${option}: ${showValue(named.written)} is not valid; expected ${expected}${meant}.`,
  )
}

/** Calls a factory with options that stand below a prefix: `'format.delimiter' = ';'`. */
export function madeOf<T>(catalog: Catalog, at: At, described: Described<T>, prefix: string, options: WithOptions): T {
  const own = optionsBelow(prefix, options)
  const what = `${at.what}: ${prefix}`
  const values = valuesOf(catalog.file, { what, from: at.from }, described.options ?? {}, own)
  return called(catalog.file, at.from, own, () => described.make?.(values) as T)
}

/** What announces objects: named by `notifications`, or the one connector that has these options. */
export function notificationsOf(catalog: Catalog, at: At, options: WithOptions): unknown {
  const below = optionsBelow('notifications', options)
  const named = options.get('notifications')
  if (named === undefined && below.size === 0) return undefined
  if (named)
    return madeOf(
      catalog,
      at,
      describedBy(catalog, at, catalog.announcers, 'notifications', options),
      'notifications',
      options,
    )
  const fitting = catalog.announcers.filter(({ options: table }) =>
    [...below.keys()].every(name => Object.hasOwn(table, name.split('.')[0] ?? '')),
  )
  const [only, ...others] = fitting
  if (only && others.length === 0) return madeOf(catalog, at, only, 'notifications', options)
  const kinds = catalog.announcers.map(({ kind }) => `'${kind}'`).join(' or ')
  throw sqlError(
    catalog.file,
    [...below.values()][0]?.at ?? at.from,
    `${at.what}: notifications is missing; expected notifications = ${kinds} beside these options.`,
  )
}

/** The format and all other options, as the factory of a source or lookup takes them. */
export function objectOptions(
  catalog: Catalog,
  at: At,
  table: OptionTable,
  given: WithOptions,
): Readonly<Record<string, unknown>> {
  const isHere = (name: string) => Object.hasOwn(table, name.split('.')[0] ?? '')
  const watermark = table.watermark?.kind.table
  // WATERMARK is a clause, so what belongs to it needs no more words: bounds = '...'.
  const options: WithOptions = new Map(
    [...given].map(([name, option]) =>
      !isHere(name) && watermark && Object.hasOwn(watermark, name.split('.')[0] ?? '')
        ? [`watermark.${name}`, option]
        : [name, option],
    ),
  )
  const written = new Set(['name', 'columns'])
  const stranger = [...options].find(([name]) => written.has(name))
  if (stranger)
    throw sqlError(
      catalog.file,
      stranger[1].at,
      `${at.what}: ${stranger[0]} is no option here; expected it before WITH: CREATE SOURCE name (column TYPE, ...).`,
    )
  const format = madeOf(catalog, at, describedBy(catalog, at, catalog.formats, 'format', options), 'format', options)
  const notifications = Object.hasOwn(table, 'notifications') ? notificationsOf(catalog, at, options) : undefined
  const plain = optionsWithout(
    'format',
    Object.hasOwn(table, 'notifications') ? optionsWithout('notifications', options) : options,
  )
  const rest = Object.fromEntries(
    Object.entries(table).filter(([name]) => !['name', 'columns', 'format', 'notifications'].includes(name)),
  )
  return {
    ...valuesOf(catalog.file, at, rest, plain),
    format,
    ...(notifications === undefined ? {} : { notifications }),
  }
}
