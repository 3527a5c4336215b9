import { type MarkContext, markObjects } from './mark.ts'
import { isBadObject, type MarkedObject } from './marked-object.ts'
import type { DoubtfulObject, SpooledVersion } from './spooled-version.ts'
import { unreadableObject } from './unreadable-object.ts'

export interface GroupContext extends MarkContext {
  /** A name that nothing else uses. */
  nextTable(): string
}

/** Marks objects of one shape, each on its own where they cannot be read together. */
export async function markGroup(
  context: GroupContext,
  objects: readonly SpooledVersion[],
): Promise<readonly MarkedObject[]> {
  const done: MarkedObject[] = []
  for (const object of await markOnce(context, objects)) {
    const known = object.is === 'doubtful' ? await object.again() : object
    done.push(...('file' in known ? await markGroup(context, [known]) : [known]))
  }
  return done
}

async function markOnce(
  context: GroupContext,
  objects: readonly SpooledVersion[],
): Promise<readonly (MarkedObject | DoubtfulObject)[]> {
  try {
    return await markObjects(context, objects, context.nextTable())
  } catch (error) {
    const [first] = objects as readonly [SpooledVersion]
    if (objects.length > 1 && isBadObject(error)) {
      // One of them cannot be read: the others are read without it.
      const alone: (MarkedObject | DoubtfulObject)[] = []
      for (const object of objects) alone.push(...(await markOnce(context, [object])))
      return alone
    }
    if (first.provenFields && isBadObject(error)) {
      // It was written to since: read strictly, it tells what it is.
      const { provenFields: _, ...unproven } = first
      return markOnce(context, [unproven])
    }
    for (const object of objects) await object.discard()
    return [unreadableObject(context, first.version, error)]
  }
}
