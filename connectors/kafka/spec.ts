import { either, flag, list, nested, oneOf, text } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { NotificationSpec } from '../../src/plan/notification-spec.ts'

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
export interface KafkaSpec extends NotificationSpec {
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

const pem = text('PEM text, not the name of a file', value => value.trim() !== '', 'PEM')
const name = text('letters, digits, ., _ and -, at most 200', value => /^[A-Za-z0-9._-]{1,200}$/.test(value))

export const kafkaOptions = {
  brokers: {
    kind: list(text("'host:port', without a scheme", isBroker, 'HOST:PORT'), "a list such as ['broker-1:9092']"),
    isRequired: true,
    about: 'Some of the brokers of the cluster.',
  },
  topic: {
    kind: text('a topic: letters, digits, ., _ and -', value => /^[A-Za-z0-9._-]{1,249}$/.test(value)),
    isRequired: true,
    about: 'The topic that carries the notifications.',
  },
  groupId: {
    kind: name,
    default: 'millrace',
    about: 'Under <groupId>-<term> offsets are committed for tools that show lag; reading never depends on them.',
  },
  clientId: { kind: name, default: 'millrace', about: 'The name that brokers log.' },
  from: {
    kind: oneOf('earliest', 'latest'),
    default: 'earliest',
    about: 'Where a pipeline without positions begins.',
  },
  keys: {
    kind: oneOf('encoded', 'raw'),
    default: 'encoded',
    about: "How messages write an object's key: as S3, MinIO and Ceph do, or as it is, as versitygw does.",
  },
  sasl: {
    kind: nested<KafkaSasl>({
      mechanism: {
        kind: oneOf('plain', 'scram-sha-256', 'scram-sha-512'),
        isRequired: true,
        about: 'How the password is proved.',
      },
      username: { kind: text('the name of a user'), isRequired: true, about: 'The name of the user.' },
      password: {
        kind: text('text that is not empty; is its variable set?'),
        isRequired: true,
        isSecret: true,
        about: 'The password of the user.',
      },
    }),
    about: 'Who logs in.',
  },
  tls: {
    kind: either(
      flag,
      nested<KafkaTls>({
        ca: { kind: pem, about: 'The certificates that brokers are trusted by.' },
        cert: { kind: pem, about: "This client's certificate." },
        key: { kind: pem, isSecret: true, about: "The certificate's private key." },
        servername: { kind: text(), about: "The name that a broker's certificate must hold." },
      }),
    ),
    about: 'Whether the connection is encrypted; true for a certificate that this machine trusts.',
  },
} satisfies OptionTable<KafkaOptions>

/**
 * Objects announced by a Kafka topic: bucket notifications of MinIO, Ceph and versitygw, or S3's own messages that
 * somebody carries there.
 *
 *     notifications: kafka({ brokers: ['broker-1:9092', 'broker-2:9092'], topic: 'landed' })
 *
 * @throws MillraceError `user` that names the field, the value and what was expected; secrets are never shown.
 */
export function kafka(options: KafkaOptions): KafkaSpec {
  const { brokers, ...rest } = readCall('kafka', kafkaOptions, [], options)
  return { notifications: 'kafka', brokers: [...brokers], ...rest }
}

function isBroker(value: string): boolean {
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^\s:/,]+):(\d{1,5})$/.exec(value)?.[1])
  return port >= 1 && port <= 65_535
}
