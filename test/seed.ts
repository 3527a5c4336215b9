import { randomInt } from 'node:crypto'

/** What tests draw from where nothing is said: a run of CI is the same again, whatever day it is. */
const everyday = 20_261_201

/**
 * The seed of everything that tests draw: `MILLRACE_SEED`, a whole number, or 'new' for one that nobody has tried yet.
 * A failure prints it.
 */
export const seed = seedOf(process.env.MILLRACE_SEED)

function seedOf(given: string | undefined): number {
  if (given === undefined || given === '') return everyday
  if (given === 'new') return randomInt(2 ** 31)
  if (!/^-?\d+$/.test(given))
    throw new Error(`MILLRACE_SEED: '${given}' is not valid; expected a whole number or 'new'.`)
  return Number(given)
}
