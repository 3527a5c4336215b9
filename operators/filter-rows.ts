import type { Row } from '../src/core/types.ts'
import { type ColumnsOf, type OfRows, type Operator, type Passed, step } from '../src/plan/batches.ts'
import { type FunctionCode, functionCode, type FunctionOptions, functionTold } from '../src/plan/function-code.ts'
import type { FunctionStep } from '../src/plan/step.ts'

interface FilteredOptions {
  readonly [key: string]: FunctionCode | boolean
  readonly function: FunctionCode
  readonly portable: false
}

/**
 * Keeps the rows for which a function of TypeScript returns true; false drops the row, anything else is a mistake.
 *
 *     trips.pipe(filterRows(({ agent }) => !isBot(agent)))
 *
 * Rows are as in `mapRows`, and so are the rules: a function of the row alone, that answers at once. Where SQL can say
 * it, `where` is many times cheaper.
 *
 * @throws MillraceError `user` for options that are wrong; `fatal` from the run, naming object and row, for an
 * exception inside the function or a result that is no boolean.
 */
export function filterRows<I>(
  of: NoInfer<OfRows<I, (row: Row<ColumnsOf<I>>) => boolean>>,
  options: FunctionOptions = {},
): Operator<I, Passed<I>> {
  const filterRowsStep: FunctionStep<FilteredOptions> = {
    is: 'function',
    op: 'filterRows',
    tells: options => [functionTold(options.function)],
    columns: input => input,
    call: { is: 'filter-rows', of: of as (row: never) => boolean },
  }
  return step(filterRowsStep, { function: functionCode('filterRows', of, options), portable: false })
}
