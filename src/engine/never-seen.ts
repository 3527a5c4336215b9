import { parseColumnType } from '../core/types.ts'
import type { SourceSettings } from '../plan/source-settings.ts'

/**
 * Columns without a value in any row that was read since the start. Of JSON only: a field that no line has is NULL, and so
 * is one whose name is misspelt; other formats know their columns.
 */
export interface NeverSeen {
  readonly columns: Set<string>
  rows: number
}

export function nothingSeen({ format, columns, time }: SourceSettings): NeverSeen {
  const mayBeNull = Object.entries(columns).filter(([name, type]) => parseColumnType(type, name).nullable)
  const names = format === 'json' ? mayBeNull.map(([name]) => name).filter(name => name !== time) : []
  return { columns: new Set(names), rows: 0 }
}

/** Those to tell of. */
export function nullColumns({ columns, rows }: NeverSeen): readonly string[] {
  return rows > 0 ? [...columns] : []
}

/** What a misspelt field of JSON looks like. */
export function nullColumnsText(source: string, columns: readonly string[], of: string): string {
  const names = `column${columns.length === 1 ? '' : 's'} ${columns.map(name => `'${name}'`).join(', ')} of source ${source}`
  return `${names}: NULL in ${of}. A JSON field that no line has is NULL: check the name, or declare it NOT NULL.`
}
