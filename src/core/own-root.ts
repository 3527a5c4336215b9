/**
 * The folder that `src`, `connectors`, `operators` and `checkpoints` of millrace lie in, with a slash at its end. The
 * build keeps this module two folders below it, too (`.ci/bundle.ts`).
 */
export const ownRoot = new URL('../../', import.meta.url).href
