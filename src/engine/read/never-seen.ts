import { declaredColumns } from '../../plan/declared-column.ts'
import type { Format } from '../../plan/format.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'

/**
 * Columns without a default and without a value in any row that was read since the start. Of JSON only: a field that no
 * line has is NULL, and so is one whose name is misspelt; other formats know their columns.
 */
export interface NeverSeen {
  readonly columns: Set<string>
  /** All that are looked for. */
  readonly asked: readonly string[]
  rows: number
}

export function nothingSeen(settings: SourceSettings, format: Pick<Format, 'fields'>): NeverSeen {
  const mayBeNull = declaredColumns(settings).filter(
    ({ type, ifMissing, fact }) => type.nullable && ifMissing === undefined && fact === undefined,
  )
  const names = format.fields ? mayBeNull.map(({ name }) => name).filter(name => name !== settings.time) : []
  return { columns: new Set(names), asked: names, rows: 0 }
}

/** Those to tell of. */
export function nullColumns({ columns, rows }: Pick<NeverSeen, 'columns' | 'rows'>): readonly string[] {
  return rows > 0 ? [...columns] : []
}

/** What a misspelt field of JSON looks like. */
export function nullColumnsText(source: string, columns: readonly string[], of: string): string {
  const list = columns.map(name => `'${name}'`).join(', ')
  const names = `column${columns.length === 1 ? '' : 's'} ${list} of source ${source}`
  return `${names}: NULL in ${of}. A JSON field that no line has is NULL: check the name, or declare it NOT NULL.`
}
