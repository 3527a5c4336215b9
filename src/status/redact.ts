import type { NotificationConnector } from '../../connectors/notifications/connector.ts'
import { connectors } from '../../connectors/registry.ts'
import { text } from '../core/option-kinds.ts'
import type { Kind } from '../core/options.ts'
import type { NotificationSpec } from '../plan/notification-spec.ts'

const hidden = '[redacted]'

/** Names of fields whose values are secrets whatever they are. */
const secretName = /pass(?:word|wd)?$|passphrase|secret|token|credential|authorization|signature|private.?key/i

/** Each keeps what tells where the secret stood. */
const patterns: readonly (readonly [RegExp, string])[] = [
  // Userinfo of an address.
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#'"]*@/gi, `$1${hidden}@`],
  // A presigned address: all of its query, since each server signs by names of its own.
  [/(https?:\/\/[^\s?'"<>]+)\?[^\s'"<>]*(?:signature|x-amz-|sig=|token|accesskeyid)[^\s'"<>]*/gi, `$1?${hidden}`],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, hidden],
  [/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${hidden}`],
  [
    /\b(credential|signature|(?:\w*[_-]?)(?:password|passwd|secret|token|secret_access_key))(["']?\s*[=:]\s*["']?)[^\s"',;&}]+/gi,
    `$1$2${hidden}`,
  ],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, hidden],
]

/** Takes secrets out of what is logged: those that are known by value, and what looks like one. */
export type Redact = <T>(value: T) => T

/** @param secrets values that must never be shown, wherever they turn up */
export function createRedact(secrets: readonly string[]): Redact {
  const known = secrets.filter(secret => secret.length >= 4).toSorted((a, b) => b.length - a.length)
  const text = (value: string): string => {
    const without = known.reduce((left, secret) => left.replaceAll(secret, hidden), value)
    return patterns.reduce((left, [pattern, shown]) => left.replace(pattern, shown), without)
  }
  const each = (value: unknown): unknown => {
    if (typeof value === 'string') return text(value)
    if (Array.isArray(value)) return value.map(each)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [
        name,
        secretName.test(name) && typeof inner === 'string' ? hidden : each(inner),
      ]),
    )
  }
  return each as Redact
}

/**
 * The secrets that this process is given: by the pipeline, and by the environment that the SDKs read. Of notifications
 * that no connector describes, and of fields that none of its options does, each text and number may be one.
 */
export function secretsOf(
  notifications: readonly NotificationSpec[],
  environment: Readonly<Record<string, string | undefined>>,
  all: readonly NotificationConnector[] = connectors,
): readonly string[] {
  const given = [
    ...notifications.flatMap(spec => secretsIn(spec, describedBy(spec, all))),
    environment.AWS_SECRET_ACCESS_KEY,
    environment.AWS_SESSION_TOKEN,
    environment.AWS_CONTAINER_AUTHORIZATION_TOKEN,
    environment.PGPASSWORD,
  ]
  return given.filter(secret => secret !== undefined).filter(secret => secret !== '')
}

/** Undefined where nobody has described it. */
type Described = { readonly isSecret?: true; readonly kind?: Pick<Kind<unknown>, 'table'> } | undefined

function describedBy({ notifications: kind }: NotificationSpec, all: readonly NotificationConnector[]): Described {
  const connector = all.find(each => each.kind === kind)
  return connector && { kind: { table: { ...connector.options, notifications: { kind: text(), about: 'Its kind.' } } } }
}

function secretsIn(value: unknown, described: Described): readonly string[] {
  const isHidden = described === undefined || described.isSecret === true
  if (ArrayBuffer.isView(value))
    return isHidden ? [Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString()] : []
  if (value instanceof URL) return secretsIn(value.href, described)
  if (typeof value !== 'object' || value === null)
    return isHidden && ['string', 'number', 'bigint'].includes(typeof value) ? [String(value)] : []
  if (Array.isArray(value)) return value.flatMap(each => secretsIn(each, described))
  const table = isHidden ? {} : described.kind?.table
  return Object.entries(value).flatMap(([name, inner]) =>
    secretsIn(inner, table === undefined ? described : Object.hasOwn(table, name) ? table[name] : undefined),
  )
}
