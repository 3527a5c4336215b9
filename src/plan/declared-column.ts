import { MillraceError } from '../core/errors.ts'
import type { Executor } from '../core/ports.ts'
import { type ParsedType, parseColumnType } from '../core/types.ts'
import { checkedCast } from './checked-cast.ts'
import type { SourceSettings } from './source-settings.ts'
import { text } from './sql.ts'

/** A column that a source reads. */
export interface DeclaredColumn {
  readonly name: string
  readonly type: ParsedType
  /** The object's name of it. */
  readonly from: string
  /** What stands where an object lacks it, as text; null for NULL. Absent: it may not lack it. */
  readonly ifMissing?: string | null
  /** It is no column of the object: its key or its metadata gives it. */
  readonly fact?: 'key' | 'meta'
}

/** The columns of a source that are read, in their order: all but the one of `rescue`. */
export function declaredColumns({
  columns,
  defaults = {},
  from = {},
  facts = {},
  rescue,
}: SourceSettings): readonly DeclaredColumn[] {
  const read = Object.entries(columns).filter(([name]) => name !== rescue)
  return read.map(([name, type]) => {
    const ifMissing = Object.hasOwn(defaults, name) ? defaults[name] : undefined
    const fact = Object.hasOwn(facts, name) ? facts[name] : undefined
    return {
      name,
      type: parseColumnType(type, name),
      from: (Object.hasOwn(from, name) ? from[name] : undefined) ?? name,
      ...(ifMissing === undefined ? {} : { ifMissing }),
      ...(fact === undefined ? {} : { fact }),
    }
  })
}

/** Those that rows have: the others are facts of an object. */
export function inRows(columns: readonly DeclaredColumn[]): readonly DeclaredColumn[] {
  return columns.filter(({ fact }) => fact === undefined)
}

/** A text as a constant of a declared type: cast by value, as a text field of an object is. */
function constantCast(value: string, type: ParsedType) {
  const cast = checkedCast(text(value), 'VARCHAR', type, 'text')
  if ('impossible' in cast) throw new Error(`unreachable: text is cast to every type; ${cast.impossible}`)
  return cast
}

/** SQL of a text, or of NULL, as a constant of a declared type. */
export function constantSql(value: string | null, type: ParsedType): string {
  return value === null ? `CAST(NULL AS ${type.sql})` : `(${constantCast(value, type).value})`
}

/** Whether a text fits a declared type by value (S17). */
export async function fitsType(value: string, type: ParsedType, executor: Pick<Executor, 'rows'>): Promise<boolean> {
  const { value: sql, misfit } = constantCast(value, type)
  if (misfit === null) return true
  const [row] = await executor.rows(`SELECT ${misfit(`(${sql})`)} AS is_misfit`)
  return row?.is_misfit !== true
}

/** Refuses a DEFAULT whose value does not fit its column, before anything is read. */
export async function checkDefaults(settings: SourceSettings, executor: Pick<Executor, 'rows'>): Promise<void> {
  for (const { name, type, ifMissing } of declaredColumns(settings)) {
    if (typeof ifMissing !== 'string' || (await fitsType(ifMissing, type, executor))) continue
    throw new MillraceError(
      'user',
      'default-type',
      `source ${settings.name}: columns.${name}: DEFAULT ${text(ifMissing)} does not fit ${type.sql}; ` +
        `expected a value that ${type.sql} holds as it is, or NULL.`,
    )
  }
}
