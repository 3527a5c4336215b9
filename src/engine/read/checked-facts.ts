import type { Executor } from '../../core/ports.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import { visible } from '../../core/visible.ts'
import { type DeclaredColumn, declaredColumns, fitsType } from '../../plan/declared-column.ts'
import { type ObjectFacts, objectFacts } from '../../plan/object-facts.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'

/** Texts whose fit is remembered: objects of one day have one text. */
const rememberedMax = 10_000

/** What objects give for columns FROM KEY and FROM META, checked by value. */
export interface CheckedFacts {
  readonly values: ObjectFacts
  /** Why the object gives no value that its columns hold; undefined where all fit. */
  problemOf(version: ObjectVersion): Promise<string | undefined>
}

/** What a key says is true of every row of its object, so what does not fit makes a bad object and no bad rows. */
export function createCheckedFacts(settings: SourceSettings, executor: Pick<Executor, 'rows'>): CheckedFacts {
  const values = objectFacts(settings)
  const columns = declaredColumns(settings).filter(({ fact }) => fact !== undefined)
  const remembered = new Map<string, Promise<boolean>>()

  function fits({ name, type, fact }: DeclaredColumn, value: string | null): Promise<boolean> | boolean {
    if (value === null) return type.nullable
    if (fact === 'meta') return true
    const id = `${name}\n${value}`
    const known = remembered.get(id)
    if (known) return known
    if (remembered.size === rememberedMax) remembered.clear()
    const found = fitsType(value, type, executor)
    remembered.set(id, found)
    return found
  }

  async function problemOf(version: ObjectVersion): Promise<string | undefined> {
    const facts = values(version)
    for (const column of columns) {
      const { name, type } = column
      const fact = facts.get(name) ?? null
      const expected = `${type.sql}${type.nullable ? '' : ' NOT NULL'}`
      const from = `column '${name}' (FROM ${column.fact === 'key' ? 'KEY' : 'META'})`
      if (fact !== null && typeof fact === 'object') return `${from} is missing: ${fact.missing}; expected ${expected}`
      if (!(await fits(column, fact)))
        return `${from}: expected ${expected}, found ${fact === null ? 'NULL' : `'${visible(fact)}'`}`
    }
    return undefined
  }
  return { values, problemOf }
}
