import type { ParsedType } from '../src/core/types.ts'
import { type CheckedCast, checkedCast } from '../src/plan/checked-cast.ts'
import { decimalOfField, jsonOfField, jsonPath, jsonPaths } from '../src/plan/json-field.ts'
import { rescuedTexts } from '../src/plan/rescued-texts.ts'
import { id } from '../src/plan/sql.ts'
import { fail, foundText, rowParts, sql } from './unnest-error.ts'
import type { Asked, UnnestedField } from './unnesting.ts'

/**
 * Elements that are objects: the values of their fields as `_made`, a struct. Each step is a query of its own, as
 * DuckDB would compute a value again for every place where it is written out.
 */
export function objectsSql(asked: Asked, fields: readonly UnnestedField[], elements: string): string {
  const casts = fields.map(({ type }, index) => textCast(`_text${index}`, type))
  const steps = [
    [`json_extract_string(_element, ${jsonPaths(fields.map(({ from }) => from))}) AS _fields`],
    fields.map((field, index) => `${fieldText(field, `_fields[${index + 1}]`)} AS _text${index}`),
    casts.map(({ value }, index) => `${value} AS _v${index}`),
    fields.map((field, index) => `${misfitSql(asked, field, casts[index] as CheckedCast, index)} AS _m${index}`),
  ]
  const judged = steps.reduce((rows, items) => `SELECT *, ${items.join(', ')} FROM (${rows})`, elements)
  return `SELECT ${asked.carried}, _place, unnest([${madeSql(asked, fields)}]) AS _made FROM (${judged})`
}

function textCast(expression: string, type: ParsedType): CheckedCast {
  const cast = checkedCast(expression, 'VARCHAR', type, 'text')
  if ('impossible' in cast) throw new Error(`unreachable: text is cast to every type; ${cast.impossible}`)
  return cast
}

/** SQL of a field as the text that its cast reads. */
function fieldText({ from, type: { name, list: isList } }: UnnestedField, value: string): string {
  const path = jsonPath(from)
  if (name === 'JSON' && !isList) return jsonOfField('_element', path)
  return name === 'DECIMAL' && !isList ? decimalOfField('_element', path, value) : value
}

/** SQL predicate: the field does not fit its column. Of a row without an element none does not. */
function misfitSql({ isOuter }: Asked, { type }: UnnestedField, { misfit }: CheckedCast, index: number): string {
  const isMissing = `${isOuter ? '_place IS NOT NULL AND ' : ''}_text${index} IS NULL`
  const bad = [...(misfit === null ? [] : [misfit(`_v${index}`)]), ...(type.nullable ? [] : [`(${isMissing})`])]
  return bad.length === 0 ? 'FALSE' : bad.join(' OR ')
}

/** SQL of the struct: raises for what does not fit, or keeps it as a field of its own. */
function madeSql(asked: Asked, fields: readonly UnnestedField[]): string {
  const { column, rescue, hasAside } = asked
  const isNoObject = `${hasAside ? '_aside IS NOT NULL OR ' : ''}json_type(_element) NOT IN ('OBJECT', 'NULL')`
  const whole = hasAside ? 'coalesce(_aside, CAST(_element AS VARCHAR))' : 'CAST(_element AS VARCHAR)'
  const values = fields.map((_, index) => `'v${index}': CASE WHEN NOT _m${index} THEN _v${index} END`)
  if (rescue !== undefined) {
    const isBad = [isNoObject, ...fields.map((_, index) => `_m${index}`)].join(' OR ')
    const kept = rescuedTexts([
      [column, `CASE WHEN ${isNoObject} THEN ${whole} END`],
      ...fields.map(({ name }, index) => [name, `CASE WHEN _m${index} THEN _text${index} END`] as const),
    ])
    values.push(`'rescued': CASE WHEN ${isBad} THEN ${kept} END`)
  }
  const raised = raisedCases(asked, fields, isNoObject, whole)
  const struct = `{${values.join(', ')}}`
  return raised.length === 0 ? struct : `CASE ${raised.join(' ')} ELSE ${struct} END`
}

/** What ends the run: all that does not fit, or with `rescue` what cannot be NULL. */
function raisedCases(
  asked: Asked,
  fields: readonly UnnestedField[],
  isNoObject: string,
  whole: string,
): readonly string[] {
  const where = [`unnest ${asked.column}: `, ...rowParts(asked, id), ', element ']
  const cases = fields.flatMap(({ name, type }, index) => {
    if (asked.rescue !== undefined && type.nullable) return []
    const expected = `: column '${name}': expected ${type.sql}${type.nullable ? '' : ' NOT NULL'}, found `
    return [`WHEN _m${index} THEN ${fail([...where, sql('_place + 1'), expected, foundText(`_text${index}`)])}`]
  })
  if (cases.length === 0) return []
  const noObject = fail([...where, sql('_place + 1'), ': expected an object, found ', foundText(whole)])
  return [`WHEN ${isNoObject} THEN ${noObject}`, ...cases]
}
