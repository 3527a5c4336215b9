import { type ParsedType, parseColumnType } from '../core/types.ts'
import { canonical, type CheckedCast, checkedCast } from '../plan/checked-cast.ts'
import type { PortableCast } from './portable-plan.ts'

/** What DuckDB calls the types that Parquet files have, but for DECIMAL and what is nested. */
const scalars: readonly string[] = (
  'BOOLEAN,TINYINT,SMALLINT,INTEGER,BIGINT,HUGEINT,UTINYINT,USMALLINT,UINTEGER,UBIGINT,UHUGEINT,FLOAT,DOUBLE,' +
  'VARCHAR,JSON,BLOB,UUID,DATE,TIME,TIME_NS,TIME WITH TIME ZONE,INTERVAL,' +
  'TIMESTAMP,TIMESTAMP_S,TIMESTAMP_MS,TIMESTAMP_NS,TIMESTAMP WITH TIME ZONE,"NULL"'
).split(',')
/** A message lists it among those that can be declared, once, whatever the file's own type is. */
const toldDecimal = 'DECIMAL(18,2)'

/** How values of each type that a file may have are read as a declared one; the first rule that a type fits is its. */
export function portableCasts(type: string): readonly PortableCast[] {
  const declared = { ...parseColumnType(type, 'type'), nullable: true }
  const lists = declared.list ? scalars.map(name => `${name}[]`) : []
  const own = [...new Set([toldDecimal, declared.sql])].filter(name => name.startsWith('DECIMAL'))
  const exact = [...scalars, ...lists, ...own, ...(declared.list ? own.filter(isScalar).map(name => `${name}[]`) : [])]
  const rules = exact.map(name => ({ types: [name], ...ruleOf(name, declared) }))
  const decimals = [false, ...(declared.list ? [true] : [])].flatMap(isList => [
    { decimals: { from: 1, to: 15, isList }, ...decimalRule(9, 4, isList, declared) },
    { decimals: { from: 16, to: 38, isList }, ...decimalRule(27, 11, isList, declared) },
  ])
  return [...merged(rules), ...decimals]
}

const isScalar = (name: string) => !name.endsWith('[]')

type Rule = { readonly value: string; readonly misfit: string | null } | { readonly impossible: string }

function ruleOf(physical: string, declared: ParsedType): Rule {
  const cast = checkedCast('{raw}', physical, declared, 'typed')
  if (!('impossible' in cast)) return { value: cast.value, misfit: misfitOf(cast) }
  const { impossible } = cast
  return {
    impossible: impossible.startsWith(`${physical} `) ? `{type}${impossible.slice(physical.length)}` : impossible,
  }
}

function misfitOf({ value, misfit }: CheckedCast): string | null {
  return misfit?.(value === '{raw}' ? '{raw}' : '{value}') ?? null
}

/** The rule of one DECIMAL with what is its own left open. */
function decimalRule(digits: number, scale: number, isList: boolean, declared: ParsedType): Rule {
  const name = canonical(`DECIMAL(${digits},${scale})`)
  const open = (sql: string) =>
    sql.replaceAll(name, '{decimal}').replaceAll(`0${'9'.repeat(digits - scale)}.${'9'.repeat(scale)}0`, '{most}')
  const rule = ruleOf(isList ? `${name}[]` : name, declared)
  if ('impossible' in rule) return { impossible: open(rule.impossible) }
  return { value: open(rule.value), misfit: rule.misfit === null ? null : open(rule.misfit) }
}

/** Types that are read alike share a rule. */
function merged(rules: readonly (Rule & { readonly types: readonly string[] })[]): readonly PortableCast[] {
  const found = new Map<string, Rule & { readonly types: readonly string[] }>()
  for (const { types, ...rule } of rules) {
    const key = JSON.stringify(rule)
    found.set(key, { types: [...(found.get(key)?.types ?? []), ...types], ...rule })
  }
  return [...found.values()]
}
