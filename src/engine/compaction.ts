import type { CheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { applyCompaction, type Compaction } from '../../checkpoints/compact.ts'
import { decideCompaction } from '../../checkpoints/decide.ts'
import type { Manifest } from '../../checkpoints/types.ts'

/**
 * Merges full tiers of the checkpoint's channels beside the epochs, one merge at a time (P3, P11). A crash on the way
 * leaves a file that no manifest names, which goes at the next claim as an orphan.
 */
export interface Compactor {
  /** The manifest with the merge that has ended, if one has. @throws what the merge failed by. */
  take(manifest: Manifest): Manifest
  /** Begins a merge where a tier of a committed channel is full, none is under way and none waits to be taken. */
  begin(committed: Manifest): void
  /** Waits for the merge under way. */
  settle(): Promise<void>
}

type Outcome = { readonly compaction: Compaction | undefined } | { readonly error: unknown }

export function createCompactor(checkpoint: Pick<CheckpointStore, 'compact'>): Compactor {
  let underWay: Promise<void> | undefined
  let outcome: Outcome | undefined

  async function merge(committed: Manifest, channel: string): Promise<void> {
    try {
      outcome = { compaction: await checkpoint.compact(committed, channel) }
    } catch (error) {
      outcome = { error }
    }
    underWay = undefined
  }

  return {
    take(manifest) {
      const ended = outcome
      outcome = undefined
      if (ended === undefined) return manifest
      if ('error' in ended) throw ended.error
      return ended.compaction === undefined ? manifest : applyCompaction(manifest, ended.compaction)
    },
    begin(committed) {
      if (underWay !== undefined || outcome !== undefined) return
      const full = Object.entries(committed.channels).find(([, parts]) => decideCompaction(parts).length > 0)
      if (full) underWay = merge(committed, full[0])
    },
    async settle() {
      await underWay
    },
  }
}
