import { MillraceError } from '../core/errors.ts'
import type { Executor } from '../core/ports.ts'
import { type AskedSteps, UnknownSteps, type WrittenStep } from '../plan/asked-steps.ts'
import { stepsOfQuery } from './steps-of-query.ts'

/** So many queries may follow one another in a flow: each is read when those before it are known. */
const roundsMax = 100

/**
 * Describes flows until the steps of all their queries are known.
 *
 * @param describe throws UnknownSteps while they are not
 * @throws MillraceError `user` with the place of a mistake in a query
 */
export async function knowingSteps<T>(
  executor: Pick<Executor, 'run' | 'rows' | 'describe'>,
  describe: () => T | Promise<T>,
): Promise<T> {
  const read = new Map<string, readonly WrittenStep[]>()
  const stepsOf = async (asked: AskedSteps) => {
    const key = JSON.stringify([asked.query, asked.columns, asked.input.columns])
    const steps = read.get(key) ?? (await stepsOfQuery(executor, asked))
    read.set(key, steps)
    return steps
  }
  for (let round = 0; ; round++) {
    try {
      return await describe()
    } catch (error) {
      if (!(error instanceof UnknownSteps)) throw error
      const [first] = error.asked
      if (round === roundsMax)
        throw new MillraceError(
          'user',
          'plan',
          'sql: it is made anew each time that the flow is subscribed; expected one that is made once, outside ' +
            'functions that are called then.',
          undefined,
          first?.at,
        )
      for (const asked of error.asked) asked.answer(await stepsOf(asked))
    }
  }
}
