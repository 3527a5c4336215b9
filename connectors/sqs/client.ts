import type { ErrorCode } from '../../src/core/error-codes/index.ts'
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { errorMessage, MillraceError } from '../../src/core/errors.ts'
import type { OnRequest } from '../../src/core/requests.ts'
import { connectionMistake } from '../aws/connection-mistake.ts'
import type { EntryOutcome, Queue } from './queue.ts'
import type { SqsSpec } from './spec.ts'

/** SQS's limit of a long poll. */
const longPollS = 20

/** The SDK's client of one queue. */
export function createSqsClient(spec: Pick<SqsSpec, 'queueUrl' | 'region' | 'endpoint'>): SQSClient {
  return new SQSClient({
    maxAttempts: 1,
    // A socket that died without a word must end a long poll, not hold it for ever.
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: (longPollS + 10) * 1_000,
      throwOnRequestTimeout: true,
      // HTTP_PROXY, HTTPS_PROXY and NO_PROXY, by Node itself.
      httpAgent: { proxyEnv: process.env },
      httpsAgent: { proxyEnv: process.env },
    },
    ...(spec.region === undefined ? {} : { region: spec.region }),
    // Said twice so that the SDK does not print that they differ: the queue's own address is where it is.
    endpoint: spec.endpoint ?? new URL(spec.queueUrl).origin,
    useQueueUrlAsEndpoint: false,
  })
}

/** Whether the queue does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && missing.has(error.name)
}

/** Whether this identity may not do that. */
export function isDenied(error: unknown): boolean {
  return error instanceof Error && denied.has(error.name)
}

/** The queue over AWS's SDK. It never retries by itself: the source does, by the clock port. */
export function createQueue(
  spec: Pick<SqsSpec, 'queueUrl' | 'region' | 'endpoint' | 'visibilityTimeoutS'>,
  onRequest?: OnRequest,
): Queue {
  const { queueUrl: QueueUrl } = spec
  const client = createSqsClient(spec)
  const attempt = async <T>(action: string, call: () => Promise<T>): Promise<T> => {
    onRequest?.('queue')
    try {
      return await call()
    } catch (error) {
      throw explain(error, action, { ...spec, region: await client.config.region().catch(() => undefined) })
    }
  }
  return {
    receive: (count, signal, waitS = longPollS) =>
      attempt('sqs:ReceiveMessage', async () => {
        const command = new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: count,
          WaitTimeSeconds: waitS,
          VisibilityTimeout: spec.visibilityTimeoutS,
        })
        const { Messages } = await client.send(command, { abortSignal: signal })
        return (Messages ?? []).map(({ MessageId, ReceiptHandle, Body }) => ({
          id: MessageId ?? '',
          receipt: ReceiptHandle ?? '',
          body: Body ?? '',
        }))
      }),
    hide: entries =>
      attempt('sqs:ChangeMessageVisibility', async () => {
        const Entries = entries.map(({ receipt, seconds }, n) => ({
          Id: `${n}`,
          ReceiptHandle: receipt,
          VisibilityTimeout: seconds,
        }))
        return outcomes(
          entries.length,
          await client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries })),
        )
      }),
    remove: receipts =>
      attempt('sqs:DeleteMessage', async () => {
        const Entries = receipts.map((ReceiptHandle, n) => ({ Id: `${n}`, ReceiptHandle }))
        return outcomes(receipts.length, await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries })))
      }),
    attributes: () =>
      attempt('sqs:GetQueueAttributes', async () => {
        const AttributeNames = [
          'ApproximateNumberOfMessages',
          'ApproximateNumberOfMessagesDelayed',
          'ApproximateNumberOfMessagesNotVisible',
          'RedrivePolicy',
        ] as const
        const { Attributes } = await client.send(
          new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
        )
        const number = (name: (typeof AttributeNames)[number]): number => Number(Attributes?.[name] ?? 0)
        return {
          messages: number('ApproximateNumberOfMessages') + number('ApproximateNumberOfMessagesDelayed'),
          inFlight: number('ApproximateNumberOfMessagesNotVisible'),
          hasRedrive: (Attributes?.RedrivePolicy ?? '') !== '',
        }
      }),
    close: () => client.destroy(),
  }
}

interface BatchResult {
  readonly Successful?: readonly { readonly Id?: string | undefined }[] | undefined
  readonly Failed?:
    | readonly { readonly Id?: string | undefined; readonly SenderFault?: boolean | undefined }[]
    | undefined
}

/** A batch answers 200 with failures inside. What it does not mention is tried again. */
function outcomes(count: number, { Successful, Failed }: BatchResult): readonly EntryOutcome[] {
  const found: EntryOutcome[] = Array.from({ length: count }, () => 'failed')
  for (const { Id } of Successful ?? []) found[Number(Id)] = 'done'
  // The sender's fault is a receipt that has expired, or one of a message that is gone or has been held for 12 hours.
  for (const { Id, SenderFault } of Failed ?? []) if (SenderFault === true) found[Number(Id)] = 'stale'
  return found
}

const missing = new Set([
  'QueueDoesNotExist',
  'AWS.SimpleQueueService.NonExistentQueue',
  'NonExistentQueue',
  'InvalidAddress',
])
const denied = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'AuthFailure',
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignature',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidSecurity',
  'InvalidSignatureException',
  'KmsAccessDenied',
  'KmsDisabled',
  'KmsInvalidKeyUsage',
  'KmsInvalidState',
  'KmsNotFound',
  'KmsOptInRequired',
  'MissingAuthenticationToken',
  'NotAuthorized',
  'OptInRequired',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
])

function explain(
  error: unknown,
  action: string,
  { queueUrl, region }: { readonly queueUrl: string; readonly region: string | undefined },
): MillraceError {
  const name = error instanceof Error ? error.name : ''
  const said = `${name}: ${errorMessage(error)}`
  if (isMissing(error))
    return user(
      'queue-not-found',
      `Queue ${queueUrl} does not exist${region === undefined ? '' : ` in region ${region}`} (${said}). ` +
        'Create it, or correct queueUrl and region.',
      error,
    )
  const mistake = connectionMistake(error)
  if (mistake !== undefined)
    return user('queue-address', `Queue ${queueUrl}: ${action} failed (${said}). ${mistake}`, error)
  if (name.startsWith('ExpiredToken'))
    return user(
      'credentials-expired',
      `Queue ${queueUrl} refuses ${action} (${said}). The session's token has expired: renew the credentials.`,
      error,
    )
  if (isDenied(error))
    return user(
      'queue-access-denied',
      `Queue ${queueUrl} refuses ${action} (${said}). Allow ${action} for this identity in IAM and ` +
        `in the queue's policy (and kms:Decrypt for an encrypted queue), or correct the credentials.`,
      error,
    )
  if (name === 'CredentialsProviderError')
    return user(
      'credentials-missing',
      `No AWS credentials for queue ${queueUrl} (${said}). ` +
        'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or run with a role.',
      error,
    )
  if (errorMessage(error) === 'Region is missing')
    return user('region-missing', `Queue ${queueUrl} has no region. Give sqs({ region }) or set AWS_REGION.`, error)
  return new MillraceError(
    'retry',
    'queue-unreachable',
    `Queue ${queueUrl}: ${action} failed (${said}). It is tried again.`,
    error,
  )
}

function user(code: ErrorCode, message: string, cause: unknown): MillraceError {
  return new MillraceError('user', code, message, cause)
}
