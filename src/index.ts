export { type CsvOptions, csv } from '../connectors/csv/spec.ts'
export { delta, type DeltaOptions } from '../connectors/delta/spec.ts'
export { ducklake, type DucklakeOptions } from '../connectors/ducklake/spec.ts'
export { files, type FilesOptions } from '../connectors/files/spec.ts'
export { icebergCatalog, type IcebergCatalogOptions, type IcebergOAuth } from '../connectors/iceberg/rest-spec.ts'
export { iceberg, type IcebergOptions } from '../connectors/iceberg/spec.ts'
export {
  postgres,
  type PostgresOptions,
  type PostgresTlsOptions,
} from '../connectors/postgres/spec.ts'
export type { CalendarParts, PartitionBy } from '../connectors/files/partitions.ts'
export { type JsonOptions, json } from '../connectors/json/spec.ts'
export { type KafkaOptions, type KafkaSasl, type KafkaSpec, type KafkaTls, kafka } from '../connectors/kafka/spec.ts'
export { parquet } from '../connectors/parquet/spec.ts'
export { type SqsOptions, type SqsSpec, sqs } from '../connectors/sqs/spec.ts'
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
export { type Product, product } from '../operators/aggregates/product.ts'
export { type Quantile, type QuantileOptions, quantile } from '../operators/aggregates/quantile.ts'
export { type StddevPop, stddevPop } from '../operators/aggregates/stddev-pop.ts'
export { type Stddev, stddev } from '../operators/aggregates/stddev.ts'
export { type Sum, sum } from '../operators/aggregates/sum.ts'
export { type TopK, topK } from '../operators/aggregates/top-k.ts'
export { type VarPop, varPop } from '../operators/aggregates/var-pop.ts'
export { type Variance, variance } from '../operators/aggregates/variance.ts'
export { type Batch, batches } from '../operators/batches.ts'
export { type BitAnd, bitAnd } from '../operators/aggregates/bit-and.ts'
export { type BitOr, bitOr } from '../operators/aggregates/bit-or.ts'
export { type BitXor, bitXor } from '../operators/aggregates/bit-xor.ts'
export { type BoolAnd, boolAnd } from '../operators/aggregates/bool-and.ts'
export { type BoolOr, boolOr } from '../operators/aggregates/bool-or.ts'
export { type CollectSet, collectSet } from '../operators/aggregates/collect-set.ts'
export { type CovarPop, covarPop } from '../operators/aggregates/covar-pop.ts'
export { type CovarSamp, covarSamp } from '../operators/aggregates/covar-samp.ts'
export { type Corr, corr } from '../operators/aggregates/corr.ts'
export { type Entropy, entropy } from '../operators/aggregates/entropy.ts'
export { type Histogram, histogram } from '../operators/aggregates/histogram.ts'
export { type Largest, largest } from '../operators/aggregates/largest.ts'
export { type Listagg, type ListaggOptions, listagg } from '../operators/aggregates/listagg.ts'
export { type Median, median } from '../operators/aggregates/median.ts'
export { type Mode, mode } from '../operators/aggregates/mode.ts'
export { type RegrSlope, regrSlope } from '../operators/aggregates/regr-slope.ts'
export { type RegrIntercept, regrIntercept } from '../operators/aggregates/regr-intercept.ts'
export { type RegrR2, regrR2 } from '../operators/aggregates/regr-r2.ts'
export { type Smallest, smallest } from '../operators/aggregates/smallest.ts'
export { calendar, type CalendarOptions, type CalendarUnit, type WeekDay } from '../operators/calendar.ts'
export { cumulative } from '../operators/cumulative.ts'
export { deltas, type DeltasOptions } from '../operators/deltas.ts'
export { derive } from '../operators/derive.ts'
export { topN, type TopNOptions, type TopNOrder } from '../operators/top-n.ts'
export { dedupe, type DedupeOptions } from '../operators/dedupe.ts'
export { filterRows } from '../operators/filter-rows.ts'
export { global, type GlobalOptions } from '../operators/global.ts'
export { groupBy } from '../operators/group-by.ts'
export { hopping } from '../operators/hopping.ts'
export { type ArrowColumns, mapBatches } from '../operators/map-batches.ts'
export { join, type JoinOptions } from '../operators/join.ts'
export type { WindowJoinOptions } from '../operators/window-join.ts'
export type { JoinKind } from '../operators/joined-rows.ts'
export { late } from '../operators/late.ts'
export { lookup, type Lookup, type LookupJoinOptions } from '../operators/lookup.ts'
export { mapRows } from '../operators/map-rows.ts'
export { miniBatch } from '../operators/mini-batch.ts'
export { quarantine, type QuarantineColumns } from '../operators/quarantine.ts'
export { sql, type UnknownColumns } from '../operators/sql.ts'
export { rename } from '../operators/rename.ts'
export { type Change, rows, type RowsOptions } from '../operators/rows.ts'
export { select } from '../operators/select.ts'
export { session } from '../operators/session.ts'
export { to, type ToOptions } from '../operators/to.ts'
export { tumbling } from '../operators/tumbling.ts'
export { union, type UnionOptions } from '../operators/union.ts'
export { unnest, type FieldColumns, type FieldType, type UnnestOptions } from '../operators/unnest.ts'
export type { WindowOptions } from '../operators/window-offset.ts'
export { where } from '../operators/where.ts'
export type { CallSite } from './core/call-site.ts'
export type { Duration } from './core/duration.ts'
export type { Size } from './core/size.ts'
export { type ErrorKind, isMillraceError, MillraceError } from './core/errors.ts'
export { type Columns, type ColType, columns, type DeclaredColumns, type DeclaredType, type Row } from './core/types.ts'
export { backfill } from './engine/backfill.ts'
export type { WaitingRows } from './engine/report/lags.ts'
export { inspect } from './engine/inspect/inspect.ts'
export { type QueryOptions, type QueryResult, query } from './engine/inspect/query.ts'
export { type AppliedLate, applyLate, type LateOfStep } from './engine/apply-late.ts'
export { type Retried, type RetriedObject, retry } from './engine/retry.ts'
export { run } from './engine/run.ts'
export type {
  EpochResult,
  FarAhead,
  InspectedState,
  Inspection,
  Progress,
  SetAside,
  Summary,
  Totals,
} from './engine/report/summary.ts'
export type {
  ApplyLateOptions,
  BackfillOptions,
  FollowOptions,
  RunOptions,
  RetryOptions,
  VerifyOptions,
} from './engine/options.ts'
export { type Difference, type Verification, verify } from './engine/verify.ts'
export type {
  Done,
  Grouped,
  MiniBatch,
  NoTime,
  NoWindow,
  Operator,
  Sql,
  TookRows,
  TookSides,
  Windowed,
} from './plan/batches.ts'
export type { CsvSettings } from '../connectors/csv/settings.ts'
export type { JsonSettings } from '../connectors/json/settings.ts'
export type { After, AfterOptions } from './plan/after.ts'
export type { FunctionOptions } from './plan/function-code.ts'
export type { MiniBatchOptions } from './plan/mini-batch-options.ts'
export type { NotificationSpec } from './plan/notification-spec.ts'
export { type Pipeline, type PipelineOptions, pipeline } from './plan/pipeline.ts'
export type { Sink } from './plan/sink.ts'
export { type SourceColumns, source } from './plan/source.ts'
export type { LookupOptions } from './plan/lookup.ts'
export type { FormatSpec, SourceOptions, WatermarkOptions } from './plan/source-options.ts'
export { Stream } from './plan/stream.ts'
export type { Phase, RunEvent } from './engine/report/events.ts'
export type { MeasuredState, Measurement, Running } from './engine/report/running.ts'
