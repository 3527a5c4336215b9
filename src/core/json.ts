/** Plain data: what options, plans and manifests consist of. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
