import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { OUTPUT_PREFIX } from '../../../checkpoints/paths.ts'
import { probeStore } from '../../../checkpoints/probe.ts'
import type { BucketFacts } from '../../../connectors/s3/describe.ts'
import { isS3Address } from '../../../connectors/s3/spec.ts'
import { errorMessage } from '../../core/errors.ts'
import { showCounted } from '../../core/quantity.ts'
import type { Components } from '../../engine/components.ts'
import { explain } from '../../engine/explain.ts'
import { pipelinePlan, sourceOf, subscribeFlows } from '../../engine/flows.ts'
import { findCheckpoint } from '../../engine/read-checkpoint.ts'
import { checkOpen, checkPlan } from '../../engine/recover.ts'
import { miniBatchLimits } from '../../plan/mini-batch-options.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import type { SourceDefinition } from '../../plan/source.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { about, type Finding } from './finding.ts'
import { judgeAnnouncements, judgeKeeping } from './judge-bucket.ts'
import { judgeQueue, judgeTopic } from './judge-queue.ts'

export interface DoctorOptions {
  readonly input?: string
  readonly output?: string
  readonly checkpoint?: string
}

/** Keys that are looked at of an input. */
const keysMax = 100_000

/**
 * Looks at all that a run would need, and says what to change. Claims nothing and counts nothing; a checkpoint and an
 * output folder are written to by the probe of conditional writes (P4), which removes what it wrote.
 */
export async function examine(
  components: Components,
  pipeline: Pipeline,
  options: DoctorOptions,
): Promise<readonly Finding[]> {
  const bound = await attempt('pipeline', () => explain(pipeline))
  if ('is' in bound) return [bound]
  const definition = sourceOf(pipeline)
  const { flows } = bound
  const outputs = flows.flatMap(({ steps }) => {
    const { files } = (steps.at(-1)?.options ?? {}) as { readonly files?: string }
    return files === undefined ? [] : [options.output ?? files]
  })
  const checkpoint = options.checkpoint ?? pipeline.checkpoint
  const input = options.input ?? definition.objects
  const findings: Finding[] = [
    about('pipeline')('ok', `${pipeline.name} binds, with ${showCounted(flows.length, 'flow')}`),
    ...judgeWatermark(definition.settings),
    ...(await examineInput(components, definition, input)),
    ...(await examineWritable(components, 'checkpoint', checkpoint, '')),
    ...(await examineFit(components, pipeline, checkpoint)),
  ]
  for (const output of new Set(outputs))
    findings.push(...(await examineWritable(components, 'output', output, OUTPUT_PREFIX)))
  return [...findings, ...(await examineNotifications(components, definition, input))]
}

/** Does the work; what it throws is the problem. */
async function attempt<T extends object>(check: string, work: () => Promise<T>): Promise<T | Finding> {
  try {
    return await work()
  } catch (error) {
    return about(check)('problem', errorMessage(error))
  }
}

/** One row of a far future closes every window before it, unless bounds keep it from that (S3). */
export function judgeWatermark({ delayUs, bounds }: SourceSettings): readonly Finding[] {
  const judge = about('watermark')
  if (delayUs === undefined)
    return [
      judge(
        'warning',
        'the source has no watermark: no window closes while a run follows, only at the end of a backfill',
      ),
    ]
  if (bounds === undefined)
    return [
      judge(
        'warning',
        'the watermark has no bounds: one row stamped far ahead makes all later rows late. Name the period of the keys, or { lastModifiedSkew }',
      ),
    ]
  return [judge('ok', 'the watermark has bounds')]
}

async function examineInput(
  components: Components,
  definition: SourceDefinition,
  address: string,
): Promise<readonly Finding[]> {
  const { extensions } = components.formats[definition.settings.format](definition.settings)
  const found = await attempt('input', async () => {
    const { root, matches } = await components.findInput(address, 'objects')
    const store = await components.openInput(root, 'objects')
    const seen = { matched: 0, ignored: [] as string[], isCut: false }
    let first: string | undefined
    for await (const { key } of store.list('')) {
      if (seen.matched + seen.ignored.length >= keysMax) {
        seen.isCut = true
        break
      }
      if (!matches(key)) continue
      if (!extensions.some(extension => key.toLowerCase().endsWith(extension))) seen.ignored.push(key)
      else {
        seen.matched++
        first ??= key
      }
    }
    // Listing and reading are two permissions.
    if (first !== undefined) await store.get(first, { range: [0, 1] })
    return { seen }
  })
  return 'is' in found ? [found] : [judgeInput(found.seen, extensions)]
}

export interface SeenInput {
  readonly matched: number
  readonly ignored: readonly string[]
  readonly isCut: boolean
}

export function judgeInput({ matched, ignored, isCut }: SeenInput, extensions: readonly string[]): Finding {
  const judge = about('input')
  const others = `${isCut ? 'at least ' : ''}${showCounted(ignored.length, 'object')}`
  if (matched > 0)
    return judge(
      'ok',
      `${isCut ? 'at least ' : ''}${showCounted(matched, 'object')} to read${ignored.length > 0 ? `, ${others} without ${extensions.join(', ')}` : ''}`,
    )
  if (ignored.length > 0)
    return judge(
      'problem',
      `${others}, none of which ends in ${extensions.join(', ')}: the first is '${ignored[0]}'. Is the format right?`,
    )
  return judge('warning', 'it can be listed, and nothing lies there yet')
}

async function examineWritable(
  components: Components,
  what: 'checkpoint' | 'output',
  address: string,
  prefix: string,
): Promise<readonly Finding[]> {
  const judge = about(what)
  const probed = await attempt(what, async () => {
    const store = await components.openWritable(address, what)
    await probeStore({ store, newId: randomUUID, prefix })
    return { address: store.address }
  })
  if ('is' in probed) return [probed]
  const kept = isS3Address(address) ? await attempt(what, () => bucketOf(address, what)) : undefined
  return [
    judge('ok', `${probed.address} can be written, and keeps conditional writes`),
    ...(kept === undefined ? [] : 'is' in kept ? [kept] : judgeKeeping(what, kept)),
  ]
}

/** Whether the pipeline is still the one that the checkpoint was written by. */
async function examineFit(components: Components, pipeline: Pipeline, address: string): Promise<readonly Finding[]> {
  const found = await attempt('checkpoint', async () => {
    const subscribed = subscribeFlows(pipeline)
    const plan = pipelinePlan(subscribed.describe(0))
    subscribed.complete()
    // Nothing is loaded but HEAD, so nothing is written there.
    const held = await findCheckpoint(components, address, 'checkpoint', tmpdir())
    if (!held) return { epoch: 0 }
    checkOpen(held.head.manifest, held.address)
    checkPlan(held.head.manifest, pipeline.name, plan, held.address)
    return { epoch: held.head.manifest.epoch }
  })
  if ('is' in found) return [found]
  return found.epoch === 0 ? [] : [about('checkpoint')('ok', `epoch ${found.epoch} of this pipeline`)]
}

async function bucketOf(address: string, field: string): Promise<BucketFacts> {
  return (await import('../../../connectors/s3/describe.ts')).describeBucket(address, field)
}

async function examineNotifications(
  components: Components,
  { notifications, settings, miniBatch }: SourceDefinition,
  address: string,
): Promise<readonly Finding[]> {
  if (!notifications) return []
  const { extensions } = components.formats[settings.format](settings)
  const found = await attempt('notifications', async () => {
    const { root } = await components.findInput(address, 'objects')
    return { facts: await bucketOf(root, 'objects') }
  })
  if ('is' in found) return [found]
  const { facts } = found
  if (notifications.notifications === 'sqs') {
    const { describeQueue } = await import('../../../connectors/sqs/describe.ts')
    const queue = await attempt('queue', async () => ({ facts: await describeQueue(notifications) }))
    if ('is' in queue) return [queue]
    const { attributes } = queue.facts
    const arn = attributes.is === 'known' && attributes.value.arn !== '' ? attributes.value.arn : undefined
    return [
      ...judgeQueue({
        spec: notifications,
        facts: queue.facts,
        bucket: facts.bucket,
        everyMs: miniBatchLimits(miniBatch, 'miniBatch').everyMs,
      }),
      ...judgeAnnouncements({ facts, extensions, target: { arn } }),
    ]
  }
  const { describeTopic } = await import('../../../connectors/kafka/describe.ts')
  return [
    ...judgeTopic(notifications, await describeTopic(notifications)),
    ...judgeAnnouncements({ facts, extensions, target: { kind: 'kafka' } }),
  ]
}
