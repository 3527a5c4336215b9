import { calendarWindow } from './calendar.ts'
import { cumulate } from './cumulate.ts'
import { globalWindow } from './global.ts'
import { hop } from './hop.ts'
import { sessionWindow } from './session.ts'
import { tumble } from './tumble.ts'
import type { WindowFunction } from './window-function.ts'

/** Every window that a query may put around its rows. A new one is a file here and a line below. */
export const windows: readonly WindowFunction[] = [tumble, hop, cumulate, sessionWindow, calendarWindow, globalWindow]
