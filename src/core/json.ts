/** Plain data: what options, plans and manifests consist of. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** The object with its fields in the order of their names: where the order says nothing. */
export function sortedByName(object: { readonly [key: string]: Json }): { readonly [key: string]: Json } {
  return Object.fromEntries(Object.entries(object).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** As JSON has it: without fields that are undefined. */
export function plainJson(object: object): { readonly [key: string]: Json } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined))
}
