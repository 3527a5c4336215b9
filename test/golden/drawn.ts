import { seededRandom } from '../../src/testing/index.ts'
import { seed } from '../seed.ts'

/** Randomness from the seed of the run, which it prints; `label` goes into messages. */
export function drawn(): { readonly seed: number; readonly random: () => number; readonly label: string } {
  const label = `MILLRACE_SEED=${seed}`
  console.info(label)
  return { seed, random: seededRandom(seed), label }
}

export function wholeFromEnvironment(name: string, fallback: number): number {
  const value = process.env[name]
  if (value === undefined || value === '') return fallback
  if (!/^\d+$/.test(value)) throw new Error(`${name}: '${value}' is not valid; expected a whole number.`)
  return Number(value)
}
