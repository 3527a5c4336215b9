import {
  inputAlias,
  inputColumn,
  orderOf,
  ordinalColumn,
  ordinalsMax,
  type Relation,
  withOrdinal,
} from '../src/plan/relation.ts'
import { rescuedTexts } from '../src/plan/rescued-texts.ts'
import { id } from '../src/plan/sql.ts'
import { fail, foundText, rowParts, sql } from './unnest-error.ts'
import { objectsSql } from './unnest-objects.ts'
import type { Asked, UnnestedField, Unnesting } from './unnesting.ts'

/**
 * `SELECT <hidden>, _ordinal, <columns>`, a row for each element.
 *
 * What does not fit raises where a list is made of it. DuckDB takes no predicate on an element's columns below that,
 * and makes the list whether or not its columns are asked for: so whether a run ends does not hang on the order in
 * which it tries predicates.
 */
export function unnestSql(input: Relation, of: Unnesting): string {
  const others = Object.keys(input.columns).filter(name => name !== of.column)
  const carried = [...input.hidden, ...others.map(id)].join(', ')
  const asked: Asked = { ...of, input, others, carried, hasAside: !of.list.list && of.rescue !== undefined }
  const elements = elementsSql(asked)
  const rows = numberedSql(asked, of.fields === undefined ? elements : objectsSql(asked, of.fields, elements))
  const items = [
    ...withOrdinal(input.hidden).map(name =>
      name === ordinalColumn ? `${ordinalSql(asked)} AS ${name}` : inputColumn(name),
    ),
    ...Object.keys(input.columns).flatMap(name => (name === of.column ? madeItems(of) : [inputColumn(name)])),
  ]
  return `SELECT ${items.join(', ')} FROM (${rows}) AS ${id(inputAlias)}`
}

/** Rows with `_element`, and `_place`: its number, from 0; NULL of a row that has none and stays all the same. */
function elementsSql(asked: Asked): string {
  const { input, others, column, isOuter, hasAside, carried } = asked
  const items = [
    ...[...input.hidden, ...others].map(inputColumn),
    `${listSql(asked)} AS _list`,
    ...(hasAside ? [`${asideSql(asked)} AS _aside`] : []),
  ]
  const rows = `SELECT ${items.join(', ')} FROM (${input.sql}) AS ${id(inputAlias)}`
  const most = `: expected at most ${ordinalsMax} elements, found `
  const tooMany = fail([`unnest ${column}: `, ...rowParts(asked, id), most, sql('len(_list)')])
  const orNull = (list: string, none: string) =>
    isOuter ? `CASE WHEN len(_list) > 0 THEN ${list} ELSE [${none}] END` : list
  const list = `CASE WHEN len(_list) > ${ordinalsMax} THEN ${tooMany} ELSE ${orNull('_list', 'NULL')} END`
  const places = orNull('range(len(_list))', 'CAST(NULL AS BIGINT)')
  return (
    `SELECT ${carried}${hasAside ? ', _aside' : ''}, unnest(${list}) AS _element, unnest(${places}) AS _place ` +
    `FROM (${rows})`
  )
}

/** SQL over an input row: its elements. What is no array is kept as one row, or raises. */
function listSql(asked: Asked): string {
  const { column, list, hasAside } = asked
  const value = inputColumn(column)
  if (list.list) return value
  const found = [`: expected an array, found `, foundText(`CAST(${value} AS VARCHAR)`)]
  const misfit = hasAside
    ? '[CAST(NULL AS JSON)]'
    : fail([`unnest ${column}: `, ...rowParts(asked, inputColumn), ...found])
  const type = `json_type(${value})`
  return `CASE WHEN ${type} = 'ARRAY' THEN json_extract(${value}, '$[*]') WHEN ${type} <> 'NULL' THEN ${misfit} END`
}

/** SQL over an input row: the text of what is no array. */
function asideSql({ column }: Asked): string {
  const value = inputColumn(column)
  return `CASE WHEN json_type(${value}) NOT IN ('ARRAY', 'NULL') THEN CAST(${value} AS VARCHAR) END`
}

/** Rows that one source row has become already are numbered on. */
function numberedSql({ input }: Asked, rows: string): string {
  if (!input.hidden.includes(ordinalColumn)) return rows
  const source = orderOf(input).filter(name => name !== ordinalColumn)
  const window = `PARTITION BY ${source.join(', ')} ORDER BY ${ordinalColumn}, _place`
  return `SELECT *, row_number() OVER (${window}) - 1 AS _number FROM (${rows})`
}

function ordinalSql(asked: Asked): string {
  const { input, column, isOuter } = asked
  const place = inputColumn('_place')
  if (!input.hidden.includes(ordinalColumn)) return isOuter ? `coalesce(${place}, 0)` : place
  const number = inputColumn('_number')
  const most = `: expected at most ${ordinalsMax} rows for one, found more`
  const tooMany = fail([`unnest ${column}: `, ...rowParts(asked, inputColumn), most])
  return `CASE WHEN ${number} >= ${ordinalsMax} THEN ${tooMany} ELSE ${number} END`
}

/** The columns in the place of the list. */
function madeItems(of: Unnesting): readonly string[] {
  const { position } = of
  const place = position === undefined ? [] : [`${inputColumn('_place')} + 1 AS ${id(position)}`]
  return [...(of.fields === undefined ? elementItems(of) : fieldItems(of, of.fields)), ...place]
}

function fieldItems({ rescue }: Unnesting, fields: readonly UnnestedField[]): readonly string[] {
  const part = (name: string, as: string) => `struct_extract(${inputColumn('_made')}, '${name}') AS ${id(as)}`
  return [
    ...fields.map(({ name }, index) => part(`v${index}`, name)),
    ...(rescue === undefined ? [] : [part('rescued', rescue)]),
  ]
}

function elementItems({ column, list, as, rescue }: Unnesting): readonly string[] {
  const element = inputColumn('_element')
  if (list.value !== undefined)
    return ['value', 'count'].map(name => `struct_extract(${element}, '${name}') AS ${id(name)}`)
  const value = list.name === 'JSON' ? `CASE WHEN json_type(${element}) <> 'NULL' THEN ${element} END` : element
  if (rescue === undefined) return [`${value} AS ${id(as)}`]
  const aside = inputColumn('_aside')
  const kept = `CASE WHEN ${aside} IS NOT NULL THEN ${rescuedTexts([[column, aside]])} END`
  return [`${value} AS ${id(as)}`, `${kept} AS ${id(rescue)}`]
}
