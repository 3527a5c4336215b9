/** An SQS queue as plain data: `sqs({...})` makes it and holds the defaults. */
export interface SqsSpec {
  readonly notifications: 'sqs'
  readonly queueUrl: string
  readonly region?: string
  readonly endpoint?: string
  readonly visibilityTimeoutS: number
  readonly onMalformed: 'leave' | 'quarantine'
  readonly onForeign: 'acknowledge' | 'leave'
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** Certificates and keys as PEM text. */
export interface KafkaTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
}

/** A Kafka topic as plain data: `kafka({...})` makes it and holds the defaults. */
export interface KafkaSpec {
  readonly notifications: 'kafka'
  readonly brokers: readonly string[]
  readonly topic: string
  readonly groupId: string
  readonly clientId: string
  readonly from: 'earliest' | 'latest'
  readonly keys: 'encoded' | 'raw'
  readonly sasl?: KafkaSasl
  readonly tls?: boolean | KafkaTls
}

/**
 * Where objects are announced. No part of the plan: a pipeline may change its queue between runs, and secrets in it
 * reach neither a checkpoint nor `explain`.
 */
export type NotificationSpec = SqsSpec | KafkaSpec
