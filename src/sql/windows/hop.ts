import type { Duration } from '../../core/duration.ts'
import { hopping } from '../../../operators/hopping.ts'
import { offsetArgument, type WindowFunction } from './window-function.ts'

/** As in Flink, the distance of two windows comes before their length. */
export const hop: WindowFunction = {
  name: 'HOP',
  form: "HOP(trips, INTERVAL '5 minutes', INTERVAL '1 hour')",
  op: 'hopping',
  takes: [{ name: 'every', is: 'interval' }, { name: 'size', is: 'interval' }, offsetArgument],
  make: ({ every, size, offset }) =>
    hopping(size as Duration, every as Duration, offset === undefined ? undefined : { offset: offset as Duration }),
}
