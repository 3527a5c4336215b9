import type { Duration } from '../../core/duration.ts'
import { session } from '../../../operators/session.ts'
import type { WindowFunction } from './window-function.ts'

export const sessionWindow: WindowFunction = {
  name: 'SESSION',
  form: "SESSION(trips, INTERVAL '30 minutes')",
  op: 'session',
  takes: [{ name: 'gap', is: 'interval' }],
  make: ({ gap }) => session(gap as Duration),
}
