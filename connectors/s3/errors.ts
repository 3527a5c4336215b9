import type { ErrorCode } from '../../src/core/error-codes/index.ts'
import { isMillraceError, MillraceError } from '../../src/core/errors.ts'
import { connectionMistake } from '../aws/connection-mistake.ts'

/** What the SDK says of a request that was not answered with success. */
export interface Failure {
  /** S3's error code, such as 'NoSuchKey'; the name or code of the network's error where nothing was answered. */
  readonly code: string
  /** Undefined where nothing was answered. */
  readonly status: number | undefined
  readonly error: Error
}

export function failureOf(thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const { name, code, Code, $metadata, $response } = error as Error & {
    readonly code?: string
    readonly Code?: string
    readonly $metadata?: { readonly httpStatusCode?: number }
    readonly $response?: { readonly statusCode?: number }
  }
  const status = $metadata?.httpStatusCode ?? $response?.statusCode
  return { code: status === undefined ? (code ?? name) : (Code ?? name), status, error }
}

/** Codes of the network: the request may or may not have been applied. */
const network =
  /^(E(CONN|PIPE|HOST|NET|TIMEDOUT|AI_AGAIN|PROTO)|ENOTFOUND|ERR_(STREAM|SOCKET|HTTP|SSL)|HPE_|TimeoutError|aborted|socket hang up)/
const transient = new Set([
  'RequestTimeout',
  'RequestTimeoutException',
  'SlowDown',
  'ThrottlingException',
  'Throttling',
  'TooManyRequests',
  'InternalError',
  'ServiceUnavailable',
  'OperationAborted',
  'RequestTimeTooSkewed',
  'RequestLimitExceeded',
])

/** Whether the same request may succeed later; a write may also have been applied. */
export function isTransient({ code, status, error }: Failure): boolean {
  if (transient.has(code)) return true
  if (status === undefined) return network.test(code) || /socket hang up|aborted|ECONN|timed out/i.test(error.message)
  // A page that is no XML comes from something between, and says nothing of the store.
  return status >= 500 || status === 408 || status === 429 || (status < 300 && error.name !== 'AbortError')
}

/** Codes of errors about one object: what the engine calls a bad object (`onBadObject`). */
export const objectDenied = 'object-denied'
export const objectArchived = 'object-archived'
/** The key or the version that was asked for is none that the store can have: a message may say anything. */
export const objectRefused = 'object-refused'

/**
 * What stores answer to a read of such a key or version, or of an object that needs the customer's own key; or Node to
 * an eTag that no header can hold.
 */
const refusals =
  /^((XMinio)?Invalid(Argument|Request|URI|ObjectName|ResourceName)|KeyTooLongError|NoSuchVersion|ERR_INVALID_CHAR)$/

/** Of what a server says of its reasons, which go to logs and into the ledger. */
const saidCharsMax = 500

export interface Request {
  /** 'reading', 'writing', 'listing' ... */
  readonly doing: string
  readonly bucket: string
  /** The whole key, or the prefix that is listed. */
  readonly key: string
  /** Whether it is about reading one object. */
  readonly isRead?: boolean
  /** The action of IAM that it needs. */
  readonly action?: string
}

/** The failure as an error that names the object and what to do. */
export function toMillrace(thrown: unknown, { doing, bucket, key, isRead = false, action }: Request): Error {
  if (isMillraceError(thrown)) return thrown
  const failure = failureOf(thrown)
  const { code, status, error } = failure
  if (error.name === 'AbortError') return error
  const what = `${doing} s3://${bucket}/${key}`
  const words = status === undefined ? `${code}: ${error.message}` : `${code} (HTTP ${status}): ${error.message}`
  const said = words.length > saidCharsMax ? `${words.slice(0, saidCharsMax)}...` : words
  const make = (kind: 'user' | 'retry' | 'fatal', name: ErrorCode, advice: string): MillraceError =>
    new MillraceError(kind, name, `${what} failed: ${said.replace(/\.$/, '')}. ${advice}`, thrown)
  const mistake = status === undefined ? connectionMistake(error) : undefined
  if (mistake !== undefined) return make('user', 'store-address', mistake)
  if (isTransient(failure)) return make('retry', 'store-unavailable', 'Nothing is known to be wrong; try again.')
  const region = regionOf(error)
  if (status === 301 || status === 307 || code === 'PermanentRedirect' || code === 'AuthorizationHeaderMalformed')
    return make(
      'user',
      'wrong-region',
      region === undefined
        ? 'The bucket lies in another region or behind another endpoint; name it in the address.'
        : `The bucket lies in region ${region}: add '?region=${region}' to the address.`,
    )
  // An answer to HEAD has no body that could tell.
  if (isRead && (refusals.test(code) || (status === 400 && /^(Unknown|BadRequest)/.test(code))))
    return make('user', objectRefused, 'The store cannot have such a key or version, or wants another kind of request.')
  switch (code) {
    case 'NoSuchBucket':
      return make('user', 'no-bucket', `Create the bucket '${bucket}', or correct the address.`)
    case 'InvalidObjectState':
      return make('user', objectArchived, 'The object is archived (GLACIER or DEEP_ARCHIVE); restore it first.')
    case 'KeyTooLongError':
      return make('user', 'key-too-long', 'A key has at most 1,024 bytes; choose a shorter prefix.')
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'TokenRefreshRequired':
      return make('user', 'credentials-expired', "The session's token has expired: renew the credentials.")
    case 'CredentialsProviderError':
      return make('user', 'no-credentials', "Set credentials for AWS's default chain: environment, profile or role.")
    case 'AccessDenied':
    case 'AllAccessDisabled':
      return isRead
        ? make('user', objectDenied, 'Allow s3:GetObject on it (and kms:Decrypt on its key).')
        : make(
            'user',
            'access-denied',
            `Allow ${action ?? 'it'} in the policy of the role or bucket; docs/guides/aws-permissions.md lists all.`,
          )
    case 'NotImplemented':
      return make('user', 'unsafe-store', 'The server lacks what a checkpoint or output needs; use another one.')
    default:
      break
  }
  if (status === 401 || status === 403)
    return make('user', 'access-denied', 'Check the credentials, and the policy of the role or bucket.')
  return make('fatal', 'store', 'See the message above; nothing was changed.')
}

function regionOf(error: Error): string | undefined {
  const { Region, $response } = error as Error & {
    readonly Region?: string
    readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
  }
  return Region ?? $response?.headers?.['x-amz-bucket-region']
}
