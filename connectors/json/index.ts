import type { FormatConnector } from '../../src/plan/format.ts'
import { createJsonFormat } from './format.ts'
import { inferJson } from './infer.ts'
import type { JsonSettings } from './settings.ts'
import { json, jsonOptions } from './spec.ts'

export const jsonConnector: FormatConnector<Partial<JsonSettings>> = {
  kind: 'json',
  call: 'json()',
  options: jsonOptions,
  make: options => json(options as never),
  create: ({ records }, { rowBytesMax }) =>
    createJsonFormat(records === undefined ? undefined : { records }, rowBytesMax),
  infer: inferJson,
}
