import type { ColumnDeclaration } from '../core/column-declaration.ts'
import { configError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import { checkFact, parseKeyPattern } from './object-facts.ts'
import type { SourceSettings } from './source-settings.ts'

// What sources and lookups say of their columns alike.

/** Declarations as the plan has them. */
export function columnSettings(
  parsed: Readonly<Record<string, ColumnDeclaration>>,
  rescue: string | undefined,
): Pick<SourceSettings, 'columns' | 'defaults' | 'from' | 'facts' | 'rescue'> {
  const all = Object.entries(parsed)
  const defaults = all.flatMap(([name, { ifMissing }]) => (ifMissing === undefined ? [] : [[name, ifMissing] as const]))
  const from = all.flatMap(([name, { from: own = name }]) => (own === name ? [] : [[name, own] as const]))
  const facts = all.flatMap(([name, { fact }]) => (fact === undefined ? [] : [[name, fact] as const]))
  return {
    columns: Object.fromEntries([
      ...all.map(([name, { type }]) => [name, type.nullable ? type.sql : `${type.sql} NOT NULL`] as const),
      ...(rescue === undefined ? [] : [[rescue, 'JSON'] as const]),
    ]),
    ...(defaults.length > 0 ? { defaults: Object.fromEntries(defaults) } : {}),
    ...(from.length > 0 ? { from: Object.fromEntries(from) } : {}),
    ...(facts.length > 0 ? { facts: Object.fromEntries(facts) } : {}),
    ...(rescue === undefined ? {} : { rescue }),
  }
}

/**
 * Refuses a column FROM META that is none, a pattern that names no column FROM KEY, and a source without any other
 * column.
 */
export function checkFacts(
  parsed: Readonly<Record<string, ColumnDeclaration>>,
  keyPattern: string | undefined,
  at: string,
): void {
  const all = Object.entries(parsed)
  for (const [name, { type, fact }] of all) if (fact) checkFact(name, type, fact, `${at}: columns.${name}`)
  if (keyPattern === undefined) return
  const ofKey = all.flatMap(([name, { fact }]) => (fact === 'key' ? [name] : []))
  for (const name of parseKeyPattern(keyPattern, `${at}: keyPattern`).names) {
    if (ofKey.includes(name)) continue
    const near = nearestName(name, ofKey)
    const asked = near === undefined ? '' : `; did you mean {${near}}?`
    throw configError(
      `${at}: keyPattern`,
      keyPattern,
      `a column for {${name}}, such as ${name}: 'VARCHAR FROM KEY', or * in its place${asked}`,
    )
  }
}

/** Columns of CSV without a header are known by their place: none can be missing, or have another name. */
export function checkWithoutHeader(parsed: Readonly<Record<string, ColumnDeclaration>>, field: string): void {
  for (const [name, { ifMissing, from }] of Object.entries(parsed)) {
    const clause = ifMissing === undefined ? (from === undefined ? undefined : 'FROM') : 'DEFAULT'
    if (clause !== undefined)
      throw configError(
        `${field}.${name}`,
        clause,
        'neither DEFAULT nor FROM with csv({ header: false }), which takes the declared columns in their order',
      )
  }
}
