import { didYouMean } from '../../core/nearest.ts'
import { type Catalog, type Named, NeedsFunction } from '../catalog.ts'
import { sqlError } from '../sql-error.ts'
import type { Token } from '../tokens.ts'

/** Remembers what a statement makes. @throws MillraceError `user` for a name that is taken */
export function nameRelation({ file, relations }: Catalog, name: Token, named: Named): void {
  const key = name.value.toLowerCase()
  const other = relations.get(key)
  if (other && !(other.is === 'pending' && other.what === 'view'))
    throw sqlError(
      file,
      name.from,
      `another ${kindOf(other)} is called ${other.name} already; expected a name of its own, in more than case.`,
    )
  relations.set(key, named)
}

/** What a name stands for. @param more names that stand for something here beside what statements have made */
export function namedRelation(catalog: Catalog, name: Token, more: ReadonlyMap<string, Named> = new Map()): Named {
  const key = name.value.toLowerCase()
  const found = more.get(key) ?? catalog.relations.get(key)
  if (found?.is === 'pending') throw new NeedsFunction()
  if (found) return found
  const names = [...more.values(), ...catalog.relations.values()].map(each => each.name)
  throw sqlError(
    catalog.file,
    name.from,
    `nothing is called ${name.value} here${didYouMean(name.value, names)}; expected ` +
      (names.length === 0
        ? 'a CREATE SOURCE before it.'
        : `one of ${names.join(', ')}, or a CREATE SOURCE, LOOKUP or VIEW before it.`),
  )
}

export function kindOf(named: Named): string {
  return 'what' in named ? named.what : named.is
}
