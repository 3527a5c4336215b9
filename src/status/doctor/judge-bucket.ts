import type { AnnouncementTarget } from '../../../connectors/notifications/connector.ts'
import type { BucketFacts, BucketNotification, LifecycleRule } from '../../../connectors/s3/describe.ts'
import { about, type Finding, type Judge, judged } from '../../core/finding.ts'

export interface Announcements {
  readonly facts: BucketFacts
  /** Of objects that the source reads; '' is the end of any. */
  readonly suffixes: readonly string[]
  /** Where the source listens. */
  readonly target: AnnouncementTarget
}

/** Ways in which an object comes into being. POST is of browsers' forms. */
const creations = ['s3:ObjectCreated:Put', 's3:ObjectCreated:Copy', 's3:ObjectCreated:CompleteMultipartUpload'] as const

/** Whether the bucket announces what the source reads, to where the source listens. */
export function judgeAnnouncements({ facts, suffixes, target }: Announcements): readonly Finding[] {
  const judge = about('notifications')
  return judged(judge, `notification configuration of ${facts.bucket}`, facts.notifications, all => {
    const direct = all.filter(target.takes)
    const forwarded = all.filter(({ to }) => to === 'topic' || to === 'event-bridge')
    if (direct.length === 0 && forwarded.length > 0)
      return [
        judge(
          'unknown',
          `bucket ${facts.bucket} announces to ` +
            `${forwarded.map(({ to, arn }) => (arn === '' ? to : arn)).join(', ')}: ` +
            'whether that reaches this source is not looked at',
        ),
      ]
    if (direct.length === 0)
      return [
        judge(
          'problem',
          `bucket ${facts.bucket} announces nothing to ` +
            `${target.name}${all.length > 0 ? ` (but to ${all.map(({ arn }) => arn).join(', ')})` : ''}: only ` +
            `listings would find new objects. Add a notification of s3:ObjectCreated:* for prefix '${facts.prefix}'`,
        ),
      ]
    return judgeCoverage(judge, facts, direct, suffixes)
  })
}

function judgeCoverage(
  judge: Judge,
  { bucket, prefix }: BucketFacts,
  direct: readonly BucketNotification[],
  suffixes: readonly string[],
): readonly Finding[] {
  const here = direct.filter(one => prefix.startsWith(one.prefix))
  const inside = direct.filter(one => one.prefix !== prefix && one.prefix.startsWith(prefix))
  if (here.length === 0)
    return [
      inside.length > 0
        ? judge(
            'warning',
            `only keys below ${inside.map(one => `'${one.prefix}'`).join(', ')} are announced, ` +
              `the source reads all of '${prefix}': listings would find the rest. Use prefix '${prefix}'`,
          )
        : judge(
            'problem',
            `bucket ${bucket} announces keys below ${direct.map(one => `'${one.prefix}'`).join(', ')}, ` +
              `the source reads '${prefix}'. Use prefix '${prefix}'`,
          ),
    ]
  const fits = (one: BucketNotification, suffix: string) => suffix.endsWith(one.suffix)
  // A suffix such as '-final.parquet' takes some of the objects that end in '.parquet'.
  const fitsSome = (one: BucketNotification, suffix: string) => fits(one, suffix) || one.suffix.endsWith(suffix)
  const told = suffixes.filter(suffix => here.some(one => fits(one, suffix)))
  const announced = here.map(one => `'${one.suffix}'`).join(', ')
  if (!suffixes.some(suffix => here.some(one => fitsSome(one, suffix))))
    return [
      judge(
        'problem',
        `only keys that end in ${announced} are announced, the source reads ${suffixes.join(', ')}. ` +
          `Remove the suffix, or use ${suffixes[0]}`,
      ),
    ]
  const found: Finding[] = []
  const untold = suffixes.filter(suffix => !told.includes(suffix))
  if (untold.length > 0)
    found.push(
      judge(
        'warning',
        `objects ${untold.includes('') ? 'of any name' : `that end in ${untold.join(', ')}`} ` +
          `are read but not all announced (suffix ${announced}): listings would find them`,
      ),
    )
  const events = new Set(here.flatMap(one => one.events))
  const lacking = events.has('s3:ObjectCreated:*') ? [] : creations.filter(event => !events.has(event))
  if (lacking.length > 0)
    found.push(
      judge(
        'problem',
        `the events ${lacking.join(', ')} are not announced: ` +
          'large uploads or copies would go unseen. Use s3:ObjectCreated:*',
      ),
    )
  return found.length > 0 ? found : [judge('ok', `bucket ${bucket} announces new objects below '${prefix}'`)]
}

/** Whether the bucket takes away what millrace keeps there. */
export function judgeKeeping(what: 'checkpoint' | 'output', facts: BucketFacts): readonly Finding[] {
  const judge = about(what)
  const touches = (rule: LifecycleRule) => rule.prefix.startsWith(facts.prefix) || facts.prefix.startsWith(rule.prefix)
  const named = (rules: readonly LifecycleRule[]) => rules.map(({ id, prefix }) => `'${id || prefix}'`).join(', ')
  return [
    ...judged(judge, `lifecycle rules of ${facts.bucket}`, facts.lifecycle, rules => {
      const here = rules.filter(touches)
      const expiring = here.filter(({ expires }) => expires)
      const moving = here.filter(({ transitions }) => transitions)
      const isCheckpoint = what === 'checkpoint'
      return [
        ...(expiring.length > 0
          ? [
              judge(
                isCheckpoint ? 'problem' : 'warning',
                `lifecycle rule ${named(expiring)} expires objects below '${facts.prefix}': ` +
                  (isCheckpoint
                    ? 'state and ledger would be lost. Leave that prefix out of it'
                    : 'results go after their time'),
              ),
            ]
          : []),
        ...(isCheckpoint && moving.length > 0
          ? [
              judge(
                'problem',
                `lifecycle rule ${named(moving)} moves objects below '${facts.prefix}' to another storage class: ` +
                  'what is archived cannot be read at a start. Leave that prefix out of it',
              ),
            ]
          : []),
        ...(expiring.length === 0 && (!isCheckpoint || moving.length === 0)
          ? [judge('ok', `no lifecycle rule takes anything below '${facts.prefix}'`)]
          : []),
      ]
    }),
    ...(what === 'checkpoint' ? judgeVersions(judge, facts, touches) : []),
  ]
}

function judgeVersions(
  judge: Judge,
  facts: BucketFacts,
  touches: (rule: LifecycleRule) => boolean,
): readonly Finding[] {
  if (facts.isVersioned.is !== 'known' || facts.lifecycle.is !== 'known' || !facts.isVersioned.value) return []
  if (facts.lifecycle.value.some(rule => rule.expiresNoncurrent && touches(rule))) return []
  return [
    judge(
      'warning',
      `bucket ${facts.bucket} keeps versions and nothing removes old ones: each commit leaves one of HEAD. ` +
        `Add a rule that expires noncurrent versions below '${facts.prefix}' after some days`,
    ),
  ]
}

/** What the bucket says of itself. The SDK is loaded when it is asked. */
export async function bucketOf(address: string, field: string): Promise<BucketFacts> {
  return (await import('../../../connectors/s3/describe.ts')).describeBucket(address, field)
}
