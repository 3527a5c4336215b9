import { addPart, checkpoint, dropParts, isInHead } from './manifest.ts'
import type { Manifest, Part } from './types.ts'

/** A merge that is durable but named by no manifest yet. */
export interface Compaction {
  readonly channel: string
  /** Names of the parts whose rows the new one holds. */
  readonly replaced: readonly string[]
  readonly part: Part
}

/**
 * The manifest with the merged part in place of the parts it was made from. The manifest may be newer than the one that
 * the merge began from: rows die only by the watermark, so epochs appended meanwhile do not matter (P11). But when any
 * of the parts is gone, the merge is dropped, because its rows may live on in another part and would count twice.
 */
export function applyCompaction(manifest: Manifest, compaction: Compaction): Manifest {
  const { channel, part } = compaction
  const replaced = new Set(compaction.replaced)
  const present = (manifest.channels[channel] ?? []).filter(p => replaced.has(p.name))
  if (present.length === replaced.size) {
    return addPart(
      dropParts(manifest, channel, p => replaced.has(p.name)),
      channel,
      part,
    )
  }
  if (isInHead(part)) return manifest
  const garbage = { store: checkpoint, name: part.name, droppedAt: manifest.epoch }
  return { ...manifest, garbage: [...manifest.garbage, garbage] }
}
