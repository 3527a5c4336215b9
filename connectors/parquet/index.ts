import type { FormatConnector } from '../../src/plan/format.ts'
import { parquetFormat } from './format.ts'
import { inferParquet } from './infer.ts'
import { parquet, parquetOptions } from './spec.ts'

export const parquetConnector: FormatConnector = {
  kind: 'parquet',
  call: 'parquet()',
  options: parquetOptions,
  make: () => parquet(),
  create: () => parquetFormat,
  infer: inferParquet,
}
