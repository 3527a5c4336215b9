import type { FormatConnector } from '../../src/plan/format.ts'
import { parquetFormat } from './format.ts'
import { inferParquet } from './infer.ts'
import { parquetOptions } from './spec.ts'

export const parquetConnector: FormatConnector = {
  kind: 'parquet',
  call: 'parquet()',
  options: parquetOptions,
  create: () => parquetFormat,
  infer: inferParquet,
}
