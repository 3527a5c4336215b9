import type { FormatConnector } from '../../src/plan/format.ts'
import { createCsvFormat } from './format.ts'
import { inferCsv } from './infer.ts'
import type { CsvSettings } from './settings.ts'
import { csv, csvOptions } from './spec.ts'

export const csvConnector: FormatConnector<CsvSettings> = {
  kind: 'csv',
  call: 'csv()',
  options: csvOptions,
  make: options => csv(options as never),
  create: createCsvFormat,
  infer: inferCsv,
}
