import { global } from '../../../operators/global.ts'
import type { WindowFunction } from './window-function.ts'

/** All rows as one window: whoever writes it knows that the state has each group for good. */
export const globalWindow: WindowFunction = {
  name: 'GLOBAL',
  form: 'GLOBAL(trips)',
  op: 'global',
  takes: [],
  isEndless: true,
  make: () => global({ unbounded: true }),
}
