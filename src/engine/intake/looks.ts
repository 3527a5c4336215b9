import type { Clock } from '../../core/clock.ts'
import { isMillraceError } from '../../core/errors.ts'
import type { Announced, ObjectVersion, Wanted } from '../../core/object-version.ts'
import type { ObjectStore } from '../../core/ports.ts'
import { limited } from '../../core/limited.ts'
import { createPatience } from '../read/patience.ts'

/** Looks at the store that are under way at once. */
const looksMax = 16

/** What the store says of objects that messages name, before any of them is read. */
export interface Looks {
  /** What is to be asked for: the version that the message names. Only where it names none, the store is looked at. */
  wanted(announced: Announced): Promise<Wanted>
  /** The version as the store has it, or why it is gone. Undefined where the store does not tell. */
  confirm(wanted: Wanted): Promise<ObjectVersion | 'missing' | 'changed' | undefined>
}

export function createLooks(store: ObjectStore, clock: Clock, signal: AbortSignal): Looks {
  const inTurn = limited(looksMax)
  const patience = createPatience(store, clock, signal)

  /** Undefined also where the store does not give it: the fetch meets the reason, which no answer to HEAD tells. */
  async function look(named: Announced): Promise<ObjectVersion | 'missing' | undefined> {
    const { key, versionId } = named
    try {
      const head = () => inTurn(1, async () => store.head?.(key, versionId, signal))
      const found = await patience.read({ eTag: '', ...named }, head, () => undefined)
      if (typeof found === 'object') patience.gave(found)
      return found
    } catch (error) {
      if (isMillraceError(error) && error.kind !== 'retry') return undefined
      throw error
    }
  }

  return {
    async wanted(announced) {
      const { isRestored: _, eTag, sizeBytes = 0, ...named } = announced
      const found = eTag === undefined ? await look(named) : undefined
      if (found !== undefined && found !== 'missing') return asNamed(found, named.versionId)
      // No object has this eTag: the fetch finds none, or the reason.
      return { ...named, eTag: eTag ?? '', sizeBytes, lastModifiedMs: 0, isAnnounced: true }
    },
    async confirm(named) {
      const found = await look(named)
      if (found === undefined || found === 'missing') return found
      return found.eTag === named.eTag ? asNamed(found, named.versionId) : 'changed'
    },
  }
}

/** That the store keeps versions is no reason to tell this one apart from what a listing shows (P1). */
function asNamed({ versionId: own, ...version }: ObjectVersion, versionId: string | undefined): ObjectVersion {
  return { ...version, ...(own !== undefined && own === versionId ? { versionId } : {}) }
}
