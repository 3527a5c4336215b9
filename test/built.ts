/**
 * The package as `npm run build` has made it, for tests that start millrace many times: a process of the built package
 * starts in half the CPU time of one that reads the sources. It is copied before the first test, as some tests build
 * anew, and only where nothing of the sources is newer. Elsewhere such tests start the sources.
 */
import { cpSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const sources = ['src', 'connectors', 'operators', 'checkpoints', '.ci', 'package.json']
const builtBin = 'dist/src/cli/bin.js'

/** Told by the environment, which the workers of vitest have too. */
const variable = 'MILLRACE_TEST_BIN'

/** The file that tests start millrace by. */
export const millraceBin = (): string => process.env[variable] ?? join(root, 'src/cli/bin.ts')

const copy = join(root, 'node_modules/.cache', `built-${process.pid}`)

/** Vitest calls it once, before all tests. */
export function setup(): void {
  if (!isFresh()) return
  cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(copy, 'package.json'))
  process.env[variable] = join(copy, builtBin)
}

/** And this after all of them. */
export function teardown(): void {
  rmSync(copy, { recursive: true, force: true })
}

function isFresh(): boolean {
  const bin = join(root, builtBin)
  return existsSync(bin) && Math.max(...sources.map(name => newest(join(root, name)))) < statSync(bin).mtimeMs
}

/** When something of it was last written, in milliseconds. */
function newest(path: string): number {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(0, ...readdirSync(path).map(name => newest(join(path, name))))
}
