export { type CsvOptions, csv } from '../connectors/csv/spec.ts'
export { files, type FilesOptions } from '../connectors/files/spec.ts'
export { type JsonOptions, json } from '../connectors/json/spec.ts'
export { type KafkaOptions, kafka } from '../connectors/kafka/spec.ts'
export { parquet } from '../connectors/parquet/spec.ts'
export { type SqsOptions, sqs } from '../connectors/sqs/spec.ts'
export { albLogs, cloudFrontLogs, nlbLogs, s3AccessLogs, vpcFlowLogs } from '../connectors/text/aws-logs.ts'
export { type TextOptions, text } from '../connectors/text/spec.ts'
export { aggregate, type Aggregated } from '../operators/aggregate.ts'
export type { AggregateOptions, Filtered } from '../operators/aggregates/aggregate.ts'
export { type ApproxDistinct, approxDistinct } from '../operators/aggregates/approx-distinct.ts'
export { type ArgMax, argMax } from '../operators/aggregates/arg-max.ts'
export { type ArgMin, argMin } from '../operators/aggregates/arg-min.ts'
export { type Avg, avg } from '../operators/aggregates/avg.ts'
export { type Collect, type CollectOptions, collect } from '../operators/aggregates/collect.ts'
export { type CountDistinct, countDistinct } from '../operators/aggregates/count-distinct.ts'
export { type Count, count } from '../operators/aggregates/count.ts'
export { type ExactQuantile, exactQuantile } from '../operators/aggregates/exact-quantile.ts'
export { type First, first } from '../operators/aggregates/first.ts'
export { type Last, last } from '../operators/aggregates/last.ts'
export { type Max, max } from '../operators/aggregates/max.ts'
export { type Min, min } from '../operators/aggregates/min.ts'
export { type Quantile, type QuantileOptions, quantile } from '../operators/aggregates/quantile.ts'
export { type StddevPop, stddevPop } from '../operators/aggregates/stddev-pop.ts'
export { type Stddev, stddev } from '../operators/aggregates/stddev.ts'
export { type Sum, sum } from '../operators/aggregates/sum.ts'
export { type TopK, topK } from '../operators/aggregates/top-k.ts'
export { type VarPop, varPop } from '../operators/aggregates/var-pop.ts'
export { type Variance, variance } from '../operators/aggregates/variance.ts'
export { type Batch, batches } from '../operators/batches.ts'
export { derive } from '../operators/derive.ts'
export { dedupe } from '../operators/dedupe.ts'
export { filterRows } from '../operators/filter-rows.ts'
export { groupBy } from '../operators/group-by.ts'
export { hopping } from '../operators/hopping.ts'
export { type ArrowColumns, mapBatches } from '../operators/map-batches.ts'
export { mapRows } from '../operators/map-rows.ts'
export { miniBatch } from '../operators/mini-batch.ts'
export { rename } from '../operators/rename.ts'
export { rows } from '../operators/rows.ts'
export { select } from '../operators/select.ts'
export { to } from '../operators/to.ts'
export { tumbling } from '../operators/tumbling.ts'
export { where } from '../operators/where.ts'
export type { CallSite } from './core/call-site.ts'
export type { Duration } from './core/duration.ts'
export { type ErrorKind, isMillraceError, MillraceError } from './core/errors.ts'
export { type Columns, type ColType, columns, type DeclaredColumns, type DeclaredType, type Row } from './core/types.ts'
export { backfill } from './engine/backfill.ts'
export type { WaitingRows } from './engine/deliveries.ts'
export { inspect } from './engine/inspect.ts'
export { type QueryOptions, type QueryResult, query } from './engine/query.ts'
export { type Retried, type RetriedObject, type RetryOptions, retry } from './engine/retry.ts'
export { run } from './engine/run.ts'
export type {
  BackfillOptions,
  EpochResult,
  FarAhead,
  InspectedState,
  Inspection,
  Progress,
  SetAside,
  Summary,
  Totals,
  FollowOptions,
  RunOptions,
} from './engine/summary.ts'
export { type Difference, type Verification, type VerifyOptions, verify } from './engine/verify.ts'
export type { Done, Grouped, MiniBatch, Operator, Sql, Windowed } from './plan/batches.ts'
export type { CsvSettings } from './plan/csv-settings.ts'
export type { JsonSettings } from './plan/json-settings.ts'
export type { FunctionOptions } from './plan/function-code.ts'
export type { MiniBatchOptions } from './plan/mini-batch-options.ts'
export type { KafkaSasl, KafkaSpec, KafkaTls, NotificationSpec, SqsSpec } from './plan/notification-spec.ts'
export { type Pipeline, type PipelineOptions, pipeline } from './plan/pipeline.ts'
export type { Sink } from './plan/sink.ts'
export {
  type FormatSpec,
  type SourceColumns,
  type SourceOptions,
  source,
  type WatermarkOptions,
} from './plan/source.ts'
export { Stream } from './plan/stream.ts'
export type { Phase, RunEvent } from './engine/events.ts'
export type { MeasuredState, Measurement, Running } from './engine/running.ts'
