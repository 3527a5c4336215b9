import { randomInt } from 'node:crypto'
import { seededRandom } from '../../src/testing/index.ts'

/** Randomness from MILLRACE_SEED or a fresh seed, which it prints; `label` goes into messages. */
export function drawn(): { readonly seed: number; readonly random: () => number; readonly label: string } {
  const given = process.env.MILLRACE_SEED
  const seed = given ? Number(given) : randomInt(2 ** 31)
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
