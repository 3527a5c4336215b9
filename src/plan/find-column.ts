/** A column of an object by its own name. */
export interface OwnColumn {
  readonly name: string
  /** What DuckDB calls it, where that is another name. */
  readonly sqlName?: string
  /** Of a struct. */
  readonly fields?: readonly OwnColumn[]
  /** Two fields of one struct inside it that have one name when case is ignored. */
  readonly twins?: readonly [string, string]
}

/** What a declared name means in an object. */
export type FoundColumn =
  /** The column's number, and of a field those of the fields down to it. */
  | { readonly is: 'found'; readonly at: readonly number[] }
  | { readonly is: 'missing' }
  | { readonly is: 'ambiguous'; readonly names: readonly string[] }

/**
 * Finds a declared column: the one of that very name, else the only one without regard to case, as SQL ignores it
 * (Airport_fee and airport_fee are one column of two months). 'address.city' is the field of a struct where there is no
 * column of that name, each part found by the same rule.
 */
export function findColumn(declared: string, own: readonly OwnColumn[]): FoundColumn {
  const found = namesakes(declared, own)
  const [only] = found
  if (found.length > 1) return { is: 'ambiguous', names: found.map(at => own[at]?.name ?? '') }
  if (only !== undefined) return { is: 'found', at: [only] }
  const dot = declared.indexOf('.')
  if (dot === -1) return { is: 'missing' }
  const struct = findColumn(declared.slice(0, dot), own)
  if (struct.is !== 'found') return struct
  const { name, fields = [] } = own[struct.at[0] as number] as OwnColumn
  const field = findColumn(declared.slice(dot + 1), fields)
  if (field.is === 'missing') return field
  if (field.is === 'ambiguous') return { ...field, names: field.names.map(inner => `${name}.${inner}`) }
  return { is: 'found', at: [...struct.at, ...field.at] }
}

function namesakes(declared: string, own: readonly OwnColumn[]): readonly number[] {
  const having = (isSame: (name: string) => boolean) => own.flatMap(({ name }, at) => (isSame(name) ? [at] : []))
  const exact = having(name => name === declared)
  return exact.length > 0 ? exact : having(name => name.toLowerCase() === declared.toLowerCase())
}

/** The numbers of the object's columns that these declared names are read from. */
export function columnsRead(declared: readonly string[], own: readonly OwnColumn[]): ReadonlySet<number> {
  const found = declared.map(name => findColumn(name, own))
  return new Set(found.flatMap(one => (one.is === 'found' ? one.at.slice(0, 1) : [])))
}

/** Their names. Another column of such a name may be among them. */
export function namesRead(declared: readonly string[], own: readonly OwnColumn[]): ReadonlySet<string> {
  return new Set([...columnsRead(declared, own)].map(at => own[at]?.name ?? ''))
}

/** A column, or a field of a struct by its path, and where it lies. */
export interface Leaf extends OwnColumn {
  readonly at: readonly number[]
}

/** What has values: columns that are no structs, and of structs their fields. */
export function leavesOf(own: readonly OwnColumn[]): readonly Leaf[] {
  return own.flatMap((column, index) =>
    column.fields === undefined
      ? [{ ...column, at: [index] }]
      : leavesOf(column.fields).map(leaf => ({
          ...leaf,
          name: `${column.name}.${leaf.name}`,
          at: [index, ...leaf.at],
        })),
  )
}
