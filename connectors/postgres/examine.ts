import { about, type Finding } from '../../src/core/finding.ts'
import type { Transaction } from './database.ts'
import type { PostgresAccess } from './spec.ts'

const judge = about('output')

/** For `doctor`: what keeps no run from working. */
export async function examine(
  transaction: Transaction,
  { place: { host }, tls }: PostgresAccess,
  address: string,
): Promise<readonly Finding[]> {
  const isHere = host.startsWith('/') || /^(localhost|127[.][\d.]+|::1)$/.test(host)
  const [row] = await transaction.rows("SELECT current_setting('fsync') AS fsync, pg_is_in_recovery() AS replica")
  return [
    ...(tls === false && !isHere
      ? [judge('warning', `${address}: rows cross the network unencrypted; ask for TLS by ?sslmode=require or tls`)]
      : []),
    ...(row?.fsync === 'off'
      ? [judge('warning', `${address}: fsync is off, so the server may lose committed rows when its machine fails`)]
      : []),
    ...(row?.replica === true ? [judge('warning', `${address}: the server is a replica, which takes no writes`)] : []),
  ]
}
