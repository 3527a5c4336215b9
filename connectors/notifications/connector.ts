import type { Finding } from '../../src/core/finding.ts'
import type { OptionTable } from '../../src/core/options.ts'
import type { NotificationSource } from '../../src/core/ports.ts'
import type { NotificationSpec } from '../../src/plan/notification-spec.ts'
import type { BucketNotification } from '../s3/describe.ts'
import type { NotificationContext } from './context.ts'

/**
 * What announces objects, as `connectors/<name>/index.ts` describes it and `connectors/registry.ts` lists it. The
 * description loads no SDK: `open` and `describe` do.
 */
export interface NotificationConnector<S extends NotificationSpec = any, F = any> {
  /** What its specs have as `notifications`: 'sqs'. */
  readonly kind: S['notifications']
  /** What a user calls, for messages: 'sqs({...})'. */
  readonly call: string
  /**
   * The options of that call, which reference pages list. Those that are secret, and fields of a spec that no option of
   * the same name describes, are shown in no log.
   */
  readonly options: OptionTable
  /** Calls it with these options, as SQL does. Absent: SQL has no way to say it. */
  make?(options: Readonly<Record<string, unknown>>): S
  /**
   * Connects, and refuses what is not there or not allowed.
   *
   * @throws MillraceError `user` for what only a person can mend
   */
  open(spec: S, context: NotificationContext): Promise<NotificationSource>
  /** Reads what `judge` judges. Receives no message, and changes nothing. */
  describe(spec: S): Promise<F>
  /** What `millrace doctor` says of it. */
  judge(spec: S, facts: F, context: JudgeContext): Judged
}

/** What a connector is judged beside. */
export interface JudgeContext {
  /** Of the source's objects. */
  readonly bucket: string
  /** How long a mini-batch is gathered. */
  readonly everyMs: number
}

export interface Judged {
  readonly findings: readonly Finding[]
  /** Where the bucket has to announce. Absent where it is not the bucket that does, or nothing is known. */
  readonly target?: AnnouncementTarget
}

/** Where a bucket's own notifications reach a source. */
export interface AnnouncementTarget {
  /** For messages: an ARN, or 'a queue'. */
  readonly name: string
  takes(notification: Pick<BucketNotification, 'to' | 'arn'>): boolean
}
