import { canonical, checkedCast } from '../../plan/checked-cast.ts'
import { constantSql, type DeclaredColumn } from '../../plan/declared-column.ts'
import type { Format } from '../../plan/format.ts'
import type { Fact } from '../../plan/object-facts.ts'
import { outsideOf, withoutOutside } from '../../plan/outside.ts'
import { id } from '../../plan/sql.ts'

/** One declared column of one object, in SQL over its rows. */
export interface ReadColumn extends DeclaredColumn {
  /** As read. */
  readonly raw: string
  /** As text for a record, also where it means nothing in the type that it was read as. */
  readonly shown: string
  /** By declared type: `raw` itself, or a column that is computed beside it. */
  readonly value: string
  /** What `value` is computed as; null where it is `raw`. */
  readonly cast: string | null
  /** Values that do not fit; null where all do. */
  readonly bad: string | null
  /** Of those, what means nothing in the type that it was read as; null where everything means something. */
  readonly outside: string | null
}

/** Of the values by declared type. No declared name begins so. */
export const typedName = (index: number) => `_v${index}`

/** A declared column as messages name it: with the object's name of it, where that is another one. */
export function columnText({ name, from }: Pick<DeclaredColumn, 'name' | 'from'>): string {
  return from === name ? `column '${name}'` : `column '${name}' (FROM ${from})`
}

/** A column that the object lacks: its default, which fits. */
export function missingColumn(column: DeclaredColumn): ReadColumn {
  const value = constantSql(column.ifMissing ?? null, column.type)
  return { ...column, raw: value, shown: value, value, cast: null, bad: null, outside: null }
}

/** A column that objects give as a whole, by `_part`. */
export function factColumn(column: DeclaredColumn, facts: readonly ReadonlyMap<string, Fact>[]): ReadColumn {
  const texts = facts.map(own => {
    const fact = own.get(column.name) ?? null
    if (fact !== null && typeof fact === 'object') throw new Error(`unreachable: ${fact.missing}`)
    return fact
  })
  const [first = null] = texts
  const value = texts.every(one => one === first)
    ? constantSql(first, column.type)
    : `([${texts.map(one => constantSql(one, column.type)).join(', ')}])[_part + 1]`
  return { ...column, raw: value, shown: value, value, cast: null, bad: null, outside: null }
}

export function readColumn(
  column: DeclaredColumn,
  typed: string,
  format: Format,
  physical: string,
  isKept: boolean,
): ReadColumn | { readonly impossible: string } {
  const { name, type } = column
  const raw = id(name)
  const from = canonical(physical)
  const [shown, outside] = [shownSql(raw, from), outsideOf(raw, from)]
  const cast = checkedCast(raw, physical, type, format.types ? 'typed' : 'text')
  if ('impossible' in cast) {
    if (!isKept) return { impossible: `${columnText(column)}: ${cast.impossible}` }
    return { ...column, raw, shown, value: constantSql(null, type), cast: null, bad: `(${raw} IS NOT NULL)`, outside }
  }
  const value = cast.value === raw ? raw : typed
  const bad = [...(cast.misfit === null ? [] : [cast.misfit(value)]), ...(type.nullable ? [] : [`${raw} IS NULL`])]
  const misfit = bad.length === 0 ? null : `(${bad.join(' OR ')})`
  return {
    ...column,
    raw,
    shown,
    value,
    cast: value === raw ? null : cast.value,
    bad: misfit,
    outside,
  }
}

/** SQL of a value as text, also of one that means nothing in its type: numpy's NaT in a TIMESTAMP. */
function shownSql(raw: string, physical: string): string {
  const sound = withoutOutside(raw, physical)
  return `coalesce(TRY(CAST(${sound} AS VARCHAR)), CASE WHEN ${raw} IS NOT NULL THEN 'a number that means none' END)`
}
