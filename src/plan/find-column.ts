/** SQL names ignore case: Airport_fee and airport_fee are one column of two months. The exact name comes first. */
export function findColumn(declared: string, physical: readonly string[]): string | undefined {
  return (
    physical.find(name => name === declared) ?? physical.find(name => name.toLowerCase() === declared.toLowerCase())
  )
}

/**
 * The object's columns that these declared names are read from. 'address.city' means the field of a struct where there is
 * no column of that name.
 */
export function columnsRead(declared: readonly string[], physical: readonly string[]): ReadonlySet<string> {
  const found = declared.map(name => findColumn(name, physical) ?? findColumn(name.split('.')[0] ?? '', physical))
  return new Set(found.filter(name => name !== undefined))
}
