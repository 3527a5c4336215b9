import type { NotAsCommitted, ObjectStore, SqlRow } from '../../core/ports.ts'
import { tagOf } from '../../plan/after.ts'
import type { OpenSource } from '../intake/source.ts'
import { type DoneAfter, movedBefore, sameElsewhere } from '../state/done-after.ts'
import { versionOf } from '../state/ledger.ts'

type Found = Omit<DoneAfter, 'seq'>

export interface Deeds {
  /** @param row an entry of the ledger for an object that was read */
  carryOut(row: SqlRow): Promise<Found>
  /** Deletes an object from its old place, when it is known to lie at its new one. */
  clear(row: SqlRow): Promise<Found>
}

const notes: Readonly<Record<NotAsCommitted, string>> = {
  missing: 'it was not there any more',
  changed: 'another version lies there, which is left alone',
  linked: 'it is a symbolic link, or lies behind one, and is left alone',
}

/** What `after` does to one object. @param pipeline whose name the tag has */
export function createDeeds(
  source: Pick<OpenSource, 'fetch' | 'after' | 'afterPlace'>,
  pipeline: string,
  signal: AbortSignal,
): Deeds {
  const { after, afterPlace, fetch } = source
  const { store } = fetch
  const tag = tagOf(pipeline)

  async function remove(row: SqlRow, is: 'deleted' | 'cleared'): Promise<Found> {
    const found = await (store.remove as NonNullable<ObjectStore['remove']>)(versionOf(row), signal)
    if (found === 'removed') return { is }
    // Where a process ended before it could say what it did, it is missing too.
    if (found === 'missing') return is === 'cleared' ? { is } : { is, note: notes.missing }
    return { is: is === 'cleared' ? is : 'left', note: notes[found] }
  }

  async function move(row: SqlRow): Promise<Found> {
    const to = afterPlace as ObjectStore
    const version = versionOf(row)
    const keys = [version.key, otherKey(version.key, Number(row.seq))]
    for (const key of keys) {
      const taken = await (to.take as NonNullable<ObjectStore['take']>)(store, version, key, signal)
      if (taken.is === 'taken') return { is: 'moved', to: { place: to.address, version: taken.version } }
      if (taken.is !== 'conflict') {
        // A record may be lost with the HEAD that had it: then the object went from here before, and is where it went.
        const there = taken.is === 'linked' ? undefined : await movedBefore(version, to, keys, signal)
        return there
          ? { is: 'moved', to: { place: to.address, version: there } }
          : { is: 'left', note: notes[taken.is] }
      }
      const same = await sameElsewhere(store, version, to, key, signal)
      if (typeof same === 'string') return { is: 'left', note: notes[same] }
      if (same) return { is: 'moved', to: { place: to.address, version: same } }
    }
    return { is: 'left', note: `other objects have both its names in ${to.address}` }
  }

  return {
    clear: row => remove(row, 'cleared'),
    async carryOut(row) {
      if (after.is === 'delete') return remove(row, 'deleted')
      if (after.is === 'move') return move(row)
      const found = await (store.tag as NonNullable<ObjectStore['tag']>)(versionOf(row), tag.name, tag.value, signal)
      return found === 'tagged' ? { is: 'tagged' } : { is: 'left', note: notes[found] }
    },
  }
}

/** Where another object has the key already: the entry's number tells them apart, and is the same at every try. */
function otherKey(key: string, seq: number): string {
  const dot = key.lastIndexOf('.')
  const hasExtension = dot > key.lastIndexOf('/') + 1
  return hasExtension ? `${key.slice(0, dot)}.${seq}${key.slice(dot)}` : `${key}.${seq}`
}
