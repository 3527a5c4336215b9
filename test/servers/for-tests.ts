import { afterAll } from 'vitest'
import { skippedBecause } from '../skipped-because.ts'
import { MissingServer } from './installed.ts'

/**
 * A server for the tests of one file, ended after them: `const minio = await serverFor(startMinio)` at the top of the
 * file, then `describe.skipIf(!minio)(...)`. Where it cannot be got, tests are skipped and the closing line says why; under
 * CI=true, where nothing may be skipped, the file fails.
 */
export async function serverFor<S extends { stop(): Promise<void> }>(start: () => Promise<S>): Promise<S | undefined> {
  try {
    const server = await start()
    afterAll(() => server.stop())
    return server
  } catch (error) {
    if (!(error instanceof MissingServer) || process.env.CI === 'true') throw error
    skippedBecause(error.message)
    return undefined
  }
}
