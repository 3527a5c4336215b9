import type { Duration } from '../../core/duration.ts'
import { tumbling } from '../../../operators/tumbling.ts'
import { offsetArgument, type WindowFunction } from './window-function.ts'

export const tumble: WindowFunction = {
  name: 'TUMBLE',
  form: "TUMBLE(trips, INTERVAL '1 hour')",
  op: 'tumbling',
  takes: [{ name: 'size', is: 'interval' }, offsetArgument],
  make: ({ size, offset }) =>
    tumbling(size as Duration, offset === undefined ? undefined : { offset: offset as Duration }),
}
