import type { CheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import { applyCompaction, type Compaction } from '../../../checkpoints/compact.ts'
import { decideCompaction } from '../../../checkpoints/decide.ts'
import type { Manifest } from '../../../checkpoints/types.ts'

/**
 * Merges full tiers of the checkpoint's channels beside the epochs, one merge after the other, the channel with the
 * most files first (P3, P11). A crash on the way leaves a file that no manifest names, which goes at the next claim as
 * an orphan.
 */
export interface Compactor {
  /** The manifest with the merges that have ended. @throws what a merge failed by. */
  take(manifest: Manifest): Manifest
  /** Merges what is full in this manifest and in those that follow, until none is. */
  begin(committed: Manifest): void
  /** Waits for the merge under way, and begins no other until the next `begin`. */
  settle(): Promise<void>
}

export function createCompactor(checkpoint: Pick<CheckpointStore, 'compact'>): Compactor {
  let newest: Manifest | undefined
  let underWay: Promise<void> | undefined
  let ended: Compaction[] = []
  let failure: { readonly error: unknown } | undefined

  async function mergeAll(): Promise<void> {
    for (;;) {
      const channel = newest && fullest(newest, ended)
      if (!newest || channel === undefined) break
      const compaction = await checkpoint.compact(newest, channel)
      // Another owner has the checkpoint: the next commit says so.
      if (!compaction) break
      ended.push(compaction)
    }
  }

  return {
    take(manifest) {
      if (failure) throw failure.error
      const merged = ended.reduce(applyCompaction, manifest)
      ended = []
      return merged
    },
    begin(committed) {
      newest = committed
      underWay ??= mergeAll().then(
        () => void (underWay = undefined),
        (error: unknown) => {
          underWay = undefined
          failure = { error }
        },
      )
    },
    async settle() {
      newest = undefined
      await underWay
    },
  }
}

/** The channel with a full tier that has the most parts, of those for which no merge waits to be taken. */
function fullest({ channels }: Manifest, waiting: readonly Compaction[]): string | undefined {
  let found: { readonly channel: string; readonly parts: number } | undefined
  for (const [channel, parts] of Object.entries(channels)) {
    if (waiting.some(merge => merge.channel === channel) || decideCompaction(parts).length === 0) continue
    if (found === undefined || parts.length > found.parts) found = { channel, parts: parts.length }
  }
  return found?.channel
}
