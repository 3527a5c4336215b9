/** SQL names ignore case: Airport_fee and airport_fee are one column of two months. The exact name comes first. */
export function findColumn(declared: string, physical: readonly string[]): string | undefined {
  return (
    physical.find(name => name === declared) ?? physical.find(name => name.toLowerCase() === declared.toLowerCase())
  )
}
