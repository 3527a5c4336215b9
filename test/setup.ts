/**
 * Runs before each test file. Properties take their seed and number of runs from the environment, so that a failure
 * is repeated by `MILLRACE_SEED=<the seed it printed> npm test -- <file>`, and a night's run searches longer and
 * elsewhere (`MILLRACE_SEED=new`).
 */
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { seed } from './seed.ts'

// The processes that tests start, of which many are killed, share what was compiled once.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url))

const numRuns = integer('MILLRACE_RUNS')
fc.configureGlobal({ seed, ...(numRuns !== undefined && { numRuns }) })

function integer(name: string): number | undefined {
  const value = process.env[name]
  if (value === undefined || value === '') return undefined
  if (!/^-?\d+$/.test(value)) throw new Error(`${name}: '${value}' is not valid; expected a whole number.`)
  return Number(value)
}
