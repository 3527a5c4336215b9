import type { Duration } from '../../core/duration.ts'
import { cumulative } from '../../../operators/cumulative.ts'
import { offsetArgument, type WindowFunction } from './window-function.ts'

/** As in Flink, the step comes before the length of the longest window. */
export const cumulate: WindowFunction = {
  name: 'CUMULATE',
  form: "CUMULATE(trips, INTERVAL '1 hour', INTERVAL '1 day')",
  op: 'cumulative',
  takes: [{ name: 'every', is: 'interval' }, { name: 'size', is: 'interval' }, offsetArgument],
  needsEnd: true,
  make: ({ every, size, offset }) =>
    cumulative(size as Duration, every as Duration, offset === undefined ? undefined : { offset: offset as Duration }),
}
