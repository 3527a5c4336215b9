import type { FormatConnector } from '../../src/plan/format.ts'
import { createTextFormat } from './format.ts'
import type { TextSettings } from './settings.ts'
import { text, textOptions } from './spec.ts'

/** What columns there are is told by the pattern, so there is nothing to infer. */
export const textConnector: FormatConnector<TextSettings> = {
  kind: 'text',
  call: 'text({...})',
  options: textOptions,
  make: options => text(options as never),
  create: createTextFormat,
}
