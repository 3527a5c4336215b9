import { parseColumnType } from '../../core/types.ts'
import type { DeclaredColumn } from '../../plan/declared-column.ts'
import { rescuedTexts } from '../../plan/rescued-texts.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { text } from '../../plan/sql.ts'
import type { ReadColumn } from './read-column.ts'

/** Whether what does not fit this column is kept beside its row: there must be a row without it. */
export function isRescued({ name, type }: DeclaredColumn, { rescue, time }: SourceSettings): boolean {
  return rescue !== undefined && type.nullable && name !== time
}

/** Columns of which what does not fit is kept, and the column that keeps it. */
export interface Rescued {
  readonly good: readonly ReadColumn[]
  /** Further columns of the rows: whether a value does not fit. Computed once, below what reads them. */
  readonly flags: readonly string[]
}

/** Columns as they are read, or as NULL where they do not fit, and one more that has the texts of what does not fit. */
export function rescued(columns: readonly ReadColumn[], settings: SourceSettings): Rescued {
  const { rescue } = settings
  if (rescue === undefined) return { good: columns, flags: [] }
  const flags: string[] = []
  const bad: string[] = []
  const entries: [string, string][] = []
  const good = columns.map((column, index): ReadColumn => {
    if (column.bad === null || !isRescued(column, settings)) return column
    const isBad = `_m${index}`
    bad.push(isBad)
    flags.push(`${column.bad} AS ${isBad}`)
    entries.push([column.name, `CASE WHEN ${isBad} THEN ${column.shown} END`])
    return { ...column, value: `CASE WHEN NOT ${isBad} THEN ${column.value} END`, bad: null }
  })
  const type = parseColumnType('JSON', rescue)
  const kept =
    entries.length === 0 ? 'CAST(NULL AS JSON)' : `CASE WHEN ${bad.join(' OR ')} THEN ${rescuedTexts(entries)} END`
  return {
    good: [
      ...good,
      { name: rescue, from: rescue, type, raw: kept, shown: kept, value: kept, cast: null, bad: null, outside: null },
    ],
    flags,
  }
}

/** SQL over typed rows: whether the rescued texts have one of this column. */
export function isKeptSql(kept: string, name: string): string {
  return `coalesce(list_contains(json_keys(${kept}), ${text(name)}), FALSE)`
}
