import { MillraceError } from '../../src/core/errors.ts'

/** @throws MillraceError `user`: no plan keeps a login, so such a table is not reached without its pipeline */
export function unreachable({ uri }: { readonly uri: string }): never {
  throw new MillraceError(
    'user',
    'no-login',
    `${uri}: checkpoints keep no logins, so this command cannot see which epochs are there, and nothing was done. ` +
      'Begin anew with another checkpoint and an empty table.',
  )
}
