import { isS3Address, parseS3Address } from '../../../connectors/s3/spec.ts'
import { configError } from '../../core/errors.ts'
import type { ObjectStore } from '../../core/ports.ts'
import type { AfterSettings } from '../../plan/after.ts'
import type { Components } from '../components.ts'
import { isOverlap } from './places.ts'

/** Places of a run, with the fields that name them. */
export interface Places {
  readonly source: string
  /** Of the objects. */
  readonly input: string
  /** Of checkpoint and output. */
  readonly written: readonly (readonly [address: string, field: string])[]
}

/**
 * Refuses a place to move to that is not apart from all others of the run: what moves there would be listed, read as
 * output or taken for a file of the checkpoint.
 *
 * @throws MillraceError `user` that names the field
 */
export async function checkAfter(after: AfterSettings, { source, input, written }: Places): Promise<void> {
  const isBucket = isS3Address(input)
  if (after.is === 'tag' && !isBucket)
    throw configError(
      `source ${source}: after`,
      'tag',
      `objects of S3, which have tags; files in ${input} have none: use { moveTo }, 'delete' or 'keep'`,
    )
  if (after.is !== 'move') return
  const field = `source ${source}: after.moveTo`
  const isSameKind = isS3Address(after.to) === isBucket && (!isBucket || isSameServer(after.to, field, input))
  if (!isSameKind)
    throw configError(
      field,
      after.to,
      isBucket ? `an s3:// address of the same server as ${input}` : 'a local directory, as the source is one',
    )
  const others = [[input, "the source's place"] as const, ...written]
  for (const [address, what] of others)
    if (await isOverlap(address, what, after.to, field))
      throw configError(field, after.to, `a place that lies neither in nor above ${what}, ${address}`)
}

function isSameServer(to: string, field: string, input: string): boolean {
  return parseS3Address(to, field).endpoint === parseS3Address(input, 'input').endpoint
}

/**
 * Opens the place to move to. @throws MillraceError `user` where the store of the objects cannot do what `after` asks
 * for
 */
export async function openAfterPlace(
  after: AfterSettings,
  source: string,
  store: ObjectStore,
  components: Components,
): Promise<ObjectStore | undefined> {
  const lacks = (is: string) =>
    configError(`source ${source}: after`, is, `a store that can do so; ${store.address} cannot`)
  if (after.is === 'tag' && !store.tag) throw lacks('tag')
  if ((after.is === 'delete' || after.is === 'move') && !store.remove) throw lacks(after.is)
  if (after.is !== 'move') return undefined
  const place = await components.openWritable(after.to, `source ${source}: after.moveTo`)
  if (!place.take) throw lacks('moveTo')
  return place
}
