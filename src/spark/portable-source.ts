import { plainTypes, rowHidden, watermarkColumn } from '../plan/relation.ts'
import { timedRows } from '../engine/read/good-rows.ts'
import { countsSql } from '../engine/read/part-counts.ts'
import type { ReadColumn } from '../engine/read/read-column.ts'
import { rowTests } from '../engine/read/row-tests.ts'
import { constantSql, declaredColumns } from '../plan/declared-column.ts'
import type { SourceSettings } from '../plan/source-settings.ts'
import { id } from '../plan/sql.ts'
import { parametrised } from './parametrised.ts'
import type { PortableSource } from './portable-plan.ts'

/** The hidden columns of rows of a source. Watermarks come from the clock of each stage. */
export const sourceHidden: readonly string[] = rowHidden.filter(name => name !== watermarkColumn)

/** How rows of a source are read, marked and taken. @param relation its rows are found by */
export function portableSource(settings: SourceSettings, relation: string): PortableSource {
  const { name, delayUs } = settings
  const declared = declaredColumns(settings)
  const read = declared.map((column, index): ReadColumn => {
    const [raw, value, misfit] = [`_r${index}`, `_v${index}`, `_m${index}`]
    const bad = column.type.nullable ? misfit : `(${misfit} OR ${raw} IS NULL)`
    return { ...column, raw, shown: raw, value, cast: null, bad, outside: null }
  })
  const tests = rowTests(read, settings)
  const typed = '(SELECT *, 0 AS _part, FALSE AS _broken FROM typed_rows)'
  const items = read.map(column => `${column.value} AS ${id(column.name)}`)
  const names = [...sourceHidden, ...declared.map(column => id(column.name))]
  const good = `SELECT _seq, _row, ${items.join(', ')} FROM ${typed} WHERE ${tests.isGood}`
  return {
    name,
    format: 'parquet',
    relation,
    columns: declared.map(({ name, type, from, fact, ifMissing }) => ({
      name,
      type: plainTypes({ [name]: type.sql })[name] as string,
      of: fact === undefined ? 'rows' : 'object',
      from,
      ifMissing: ifMissing === undefined ? null : constantSql(ifMissing, type),
    })),
    delayUs: delayUs ?? null,
    mark: markQuery(settings, `(SELECT *, ${tests.flags} FROM ${typed})`),
    rows: `SELECT ${names.join(', ')} FROM (${timedRows(good, settings).sql})`,
  }
}

function markQuery(settings: SourceSettings, flagged: string) {
  const isBound = settings.bounds !== undefined
  const query = parametrised(['bounds_from', 'bounds_to'], values =>
    countsSql(settings, [isBound ? { fromUs: values.bounds_from, toUs: values.bounds_to } : undefined], flagged, []),
  )
  if (query === undefined) throw new Error('unreachable: bounds are compared with times and nothing else')
  return query
}
