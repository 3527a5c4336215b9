import { configError } from '../src/core/errors.ts'
import { didYouMean } from '../src/core/nearest.ts'
import type { Format, FormatConnector } from '../src/plan/format.ts'
import type { NotificationSpec } from '../src/plan/notification-spec.ts'
import { formatSettings, type SourcePolicies, type SourceSettings } from '../src/plan/source-settings.ts'
import type { Sink, SinkKind } from '../src/plan/sink.ts'
import { csvConnector } from './csv/index.ts'
import { deltaKind } from './delta/sink.ts'
import { ducklakeKind } from './ducklake/sink.ts'
import { filesKind } from './files/sink.ts'
import { icebergCatalogKind, icebergKind } from './iceberg/index.ts'
import { jsonConnector } from './json/index.ts'
import { kafkaConnector } from './kafka/index.ts'
import type { NotificationConnector } from './notifications/connector.ts'
import { parquetConnector } from './parquet/index.ts'
import { postgresKind } from './postgres/sink.ts'
import { sqsConnector } from './sqs/index.ts'
import { textConnector } from './text/index.ts'

// The lists are in the order of reference pages. A new connector, format or sink is a folder, and a line here.

/** All that announces objects. */
export const connectors: readonly NotificationConnector[] = [sqsConnector, kafkaConnector]

/** All that objects are written as; content whose name tells nothing is tried in this order. */
export const formats: readonly FormatConnector[] = [parquetConnector, jsonConnector, csvConnector, textConnector]

/** All that results go to. */
export const sinks: readonly SinkKind[] = [
  filesKind,
  postgresKind,
  ducklakeKind,
  deltaKind,
  icebergKind,
  icebergCatalogKind,
]

/**
 * @param field names the sink in errors
 * @throws MillraceError `user` for a kind that nobody has described
 */
export function sinkOf({ sink: kind }: Sink, field: string, all: readonly SinkKind[]): SinkKind {
  return all.find(each => each.kind === kind) ?? unknownKind(`${field}: sink`, kind, all)
}

/**
 * @param field names the spec in errors
 * @throws MillraceError `user` for a kind that nobody has described
 */
export function connectorOf(
  { notifications: kind }: NotificationSpec,
  field: string,
  all: readonly NotificationConnector[],
): NotificationConnector {
  return all.find(connector => connector.kind === kind) ?? unknownKind(field, kind, all)
}

/** @throws MillraceError `user` for a format that nobody has described */
export function formatOf(settings: SourceSettings, policies: SourcePolicies, all: readonly FormatConnector[]): Format {
  const { name, format: kind } = settings
  const found = all.find(each => each.kind === kind) ?? unknownKind(`source ${name}: format`, kind, all)
  return found.create(formatSettings(settings), policies)
}

function unknownKind(
  field: string,
  kind: string,
  all: readonly { readonly kind: string; readonly call: string }[],
): never {
  const kinds = all.map(each => each.kind)
  throw configError(field, kind, `${all.map(({ call }) => call).join(' or ')}${didYouMean(kind, kinds)}`)
}
