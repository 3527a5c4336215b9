import { configError } from '../../src/core/errors.ts'
import type { KafkaSasl, KafkaSpec, KafkaTls } from '../../src/plan/notification-spec.ts'

export interface KafkaOptions {
  /** 'host:port' each; some of the cluster's brokers are enough. */
  readonly brokers: readonly string[]
  readonly topic: string
  /**
   * Under `<groupId>-<term>` offsets are committed for tools that show lag. Reading never depends on them: positions
   * are kept in the checkpoint. Default: 'millrace'.
   */
  readonly groupId?: string
  /** The name that brokers log. Default: 'millrace'. */
  readonly clientId?: string
  /** Where a pipeline without positions begins. Default 'earliest'. */
  readonly from?: 'earliest' | 'latest'
  /**
   * How messages write an object's key: 'encoded' (default) as S3, MinIO and Ceph do ('+' is a space, then percent
   * signs), 'raw' as versitygw does. Declared, never guessed: 'a+b' can be either.
   */
  readonly keys?: 'encoded' | 'raw'
  readonly sasl?: KafkaSasl
  /** `true` for a certificate that this machine trusts. */
  readonly tls?: boolean | KafkaTls
}

const known = ['brokers', 'topic', 'groupId', 'clientId', 'from', 'keys', 'sasl', 'tls'] as const
const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
const pems = ['ca', 'cert', 'key', 'servername'] as const

/**
 * Objects announced by a Kafka topic: bucket notifications of MinIO, Ceph and versitygw, or S3's own messages that
 * somebody carries there.
 *
 *     notifications: kafka({ brokers: ['broker-1:9092', 'broker-2:9092'], topic: 'landed' })
 *
 * @throws MillraceError `user` that names the field, the value and what was expected; secrets are never shown.
 */
export function kafka(options: KafkaOptions): KafkaSpec {
  if (typeof options !== 'object' || options === null)
    throw configError('kafka', typeof options, 'an object of options')
  for (const field of Object.keys(options))
    if (!(known as readonly string[]).includes(field))
      // Its value is not shown: a misspelt `sasl` holds a password.
      throw configError(`kafka: ${field}`, '...', `one of ${known.join(', ')}`)
  const { brokers } = options
  if (!Array.isArray(brokers) || brokers.length === 0 || brokers.length > 1_000)
    throw configError('kafka: brokers', brokers, "a list such as ['broker-1:9092']")
  for (const broker of brokers) {
    const port =
      typeof broker === 'string' ? /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/,]+):(\d{1,5})$/.exec(broker)?.[1] : undefined
    if (port === undefined || Number(port) < 1 || Number(port) > 65_535)
      throw configError('kafka: brokers', broker, "'host:port', without a scheme")
  }
  if (typeof options.topic !== 'string' || !/^[A-Za-z0-9._-]{1,249}$/.test(options.topic))
    throw configError('kafka: topic', options.topic, 'a topic: letters, digits, ., _ and -')
  const { sasl, tls } = options
  return {
    notifications: 'kafka',
    brokers: [...brokers],
    topic: options.topic,
    groupId: nameOf(options.groupId, 'groupId'),
    clientId: nameOf(options.clientId, 'clientId'),
    from: oneOf(options.from, ['earliest', 'latest'], 'from'),
    keys: oneOf(options.keys, ['encoded', 'raw'], 'keys'),
    ...(sasl === undefined ? {} : { sasl: saslOf(sasl) }),
    ...(tls === undefined ? {} : { tls: tlsOf(tls) }),
  }
}

function saslOf(sasl: unknown): KafkaSasl {
  const { mechanism, username, password } = record(sasl, 'kafka: sasl', '{ mechanism, username, password }')
  const found = mechanisms.find(name => name === mechanism)
  if (found === undefined)
    throw configError('kafka: sasl.mechanism', mechanism, mechanisms.map(name => `'${name}'`).join(' or '))
  if (typeof username !== 'string' || username === '')
    throw configError('kafka: sasl.username', username, 'the name of a user')
  if (typeof password !== 'string' || password === '')
    throw configError('kafka: sasl.password', typeof password, 'a text that is not empty; is its variable set?')
  return { mechanism: found, username, password }
}

function tlsOf(tls: unknown): boolean | KafkaTls {
  if (typeof tls === 'boolean') return tls
  const given = record(tls, 'kafka: tls', 'true or { ca, cert, key, servername }')
  for (const [field, value] of Object.entries(given))
    if (!(pems as readonly string[]).includes(field) || typeof value !== 'string')
      throw configError(
        `kafka: tls.${field}`,
        typeof value,
        `one of ${pems.join(', ')}, as text (PEM, not a file's name)`,
      )
  return given
}

function record(value: unknown, field: string, expected: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw configError(field, typeof value, expected)
  return { ...value }
}

function nameOf(value: unknown, field: string): string {
  if (value === undefined) return 'millrace'
  if (typeof value !== 'string' || !/^[A-Za-z0-9._-]{1,200}$/.test(value))
    throw configError(`kafka: ${field}`, value, 'letters, digits, ., _ and -, at most 200')
  return value
}

function oneOf<const T extends string>(value: T | undefined, allowed: readonly [T, ...T[]], field: string): T {
  if (value === undefined) return allowed[0]
  if (!allowed.includes(value))
    throw configError(`kafka: ${field}`, value, allowed.map(word => `'${word}'`).join(' or '))
  return value
}
