import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
} from '@aws-sdk/client-sqs'
import { errorMessage } from '../../src/core/errors.ts'
import type { Fact } from '../../src/core/fact.ts'
import { createSqsClient, isDenied, isMissing } from './client.ts'
import type { SqsSpec } from './spec.ts'

export interface QueueFacts {
  readonly isMissing: boolean
  readonly attributes: Fact<{
    readonly arn: string
    readonly retentionS: number | undefined
    readonly maxReceiveCount: number | undefined
    /** JSON; '' where there is none. */
    readonly policy: string
    readonly messages: number
  }>
  /** Actions that are refused. */
  readonly refused: readonly string[]
}

/** No receipt of any message: who may act is told that it is invalid, before anything is done. */
const noReceipt = 'AQEBnone'

/** Reads attributes, and attempts what a run does in a way that changes nothing. */
export async function describeQueue(spec: SqsSpec): Promise<QueueFacts> {
  const client = createSqsClient(spec)
  const { queueUrl: QueueUrl } = spec
  let isGone = false
  const refused: string[] = []
  const attempt = async (action: string, call: () => Promise<unknown>): Promise<void> => {
    try {
      await call()
    } catch (error) {
      if (isDenied(error)) refused.push(action)
    }
  }
  const readAttributes = async (): Promise<QueueFacts['attributes']> => {
    try {
      const { Attributes = {} } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }),
      )
      const redrive = parsed(Attributes.RedrivePolicy)?.maxReceiveCount
      return {
        is: 'known',
        value: {
          arn: Attributes.QueueArn ?? '',
          retentionS: numberOf(Attributes.MessageRetentionPeriod),
          maxReceiveCount: numberOf(redrive),
          policy: Attributes.Policy ?? '',
          messages: Number(Attributes.ApproximateNumberOfMessages ?? 0),
        },
      }
    } catch (error) {
      if (isMissing(error)) isGone = true
      if (isDenied(error)) return { is: 'denied', action: 'sqs:GetQueueAttributes' }
      return { is: 'unavailable', why: errorMessage(error) }
    }
  }
  try {
    const attributes = await readAttributes()
    if (attributes.is !== 'unavailable') {
      // Eleven messages are refused as too many, so nothing is received and no receive is counted.
      await attempt('sqs:ReceiveMessage', () =>
        client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 11, VisibilityTimeout: 0 })),
      )
      await attempt('sqs:DeleteMessage', () =>
        client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: noReceipt })),
      )
      await attempt('sqs:ChangeMessageVisibility', () =>
        client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: noReceipt, VisibilityTimeout: 0 })),
      )
    }
    return { isMissing: isGone, attributes, refused }
  } finally {
    client.destroy()
  }
}

function parsed(json: string | undefined): { readonly maxReceiveCount?: unknown } | undefined {
  try {
    return json === undefined || json === '' ? undefined : JSON.parse(json)
  } catch {
    return undefined
  }
}

function numberOf(value: unknown): number | undefined {
  return value === undefined || !Number.isFinite(Number(value)) ? undefined : Number(value)
}
