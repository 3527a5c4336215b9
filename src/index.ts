export { files, type FilesOptions } from '../connectors/files/spec.ts'
export { json } from '../connectors/json/spec.ts'
export { parquet } from '../connectors/parquet/spec.ts'
export { aggregate, type Aggregated } from '../operators/aggregate.ts'
export type { AggregateOptions, Filtered } from '../operators/aggregates/aggregate.ts'
export { type ArgMax, argMax } from '../operators/aggregates/arg-max.ts'
export { type ArgMin, argMin } from '../operators/aggregates/arg-min.ts'
export { type Avg, avg } from '../operators/aggregates/avg.ts'
export { type Count, count } from '../operators/aggregates/count.ts'
export { type First, first } from '../operators/aggregates/first.ts'
export { type Last, last } from '../operators/aggregates/last.ts'
export { type Max, max } from '../operators/aggregates/max.ts'
export { type Min, min } from '../operators/aggregates/min.ts'
export { type Sum, sum } from '../operators/aggregates/sum.ts'
export { derive } from '../operators/derive.ts'
export { groupBy } from '../operators/group-by.ts'
export { hopping } from '../operators/hopping.ts'
export { miniBatch } from '../operators/mini-batch.ts'
export { rows } from '../operators/rows.ts'
export { select } from '../operators/select.ts'
export { to } from '../operators/to.ts'
export { tumbling } from '../operators/tumbling.ts'
export { where } from '../operators/where.ts'
export type { Duration } from './core/duration.ts'
export { type ErrorKind, isMillraceError, MillraceError } from './core/errors.ts'
export { type Columns, type ColType, columns, type Row } from './core/types.ts'
export { backfill } from './engine/backfill.ts'
export { inspect } from './engine/inspect.ts'
export { type QueryResult, query } from './engine/query.ts'
export { run } from './engine/run.ts'
export type {
  BackfillOptions,
  EpochResult,
  FarAhead,
  Inspection,
  Progress,
  SetAside,
  Summary,
  Totals,
} from './engine/summary.ts'
export { type Difference, type Verification, type VerifyOptions, verify } from './engine/verify.ts'
export type { Done, Grouped, MiniBatch, Operator, Sql, Windowed } from './plan/batches.ts'
export type { MiniBatchOptions } from './plan/mini-batch-options.ts'
export { type Pipeline, type PipelineOptions, pipeline } from './plan/pipeline.ts'
export type { Sink } from './plan/sink.ts'
export { type FormatSpec, type SourceOptions, source, type WatermarkOptions } from './plan/source.ts'
export { Stream } from './plan/stream.ts'
