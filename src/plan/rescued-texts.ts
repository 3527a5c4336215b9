import { text } from './sql.ts'

/**
 * SQL of the JSON that keeps beside a row what did not fit: `{"fare":"n/a"}`.
 *
 * @param entries name of a column, and SQL of its text where it does not fit, else NULL
 */
export function rescuedTexts(entries: readonly (readonly [name: string, found: string])[]): string {
  const all = entries.map(([name, found]) => `{k: ${text(name)}, v: ${found}}`)
  return `to_json(map_from_entries(list_filter([${all.join(', ')}], lambda _e: _e.v IS NOT NULL)))`
}
