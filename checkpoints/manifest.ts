import type { FileRef, Garbage, Manifest, Part, RetainedManifest, Unpublished } from './types.ts'

/** `Garbage.store` of the checkpoint's own files; no output may have this name. */
export const checkpoint = 'checkpoint'

/** The manifest without the parts that the predicate picks; their files become garbage of its epoch (P12). */
export function dropParts(manifest: Manifest, channel: string, predicate: (part: Part) => boolean): Manifest {
  const parts = manifest.channels[channel] ?? []
  const dropped = parts.filter(predicate)
  if (dropped.length === 0) return manifest
  const kept = parts.filter(part => !dropped.includes(part))
  return {
    ...manifest,
    channels: { ...manifest.channels, [channel]: kept },
    garbage: [...manifest.garbage, ...toGarbage(checkpoint, dropped, manifest.epoch)],
  }
}

/** The manifest with one part more, in order of first epoch. */
export function addPart(manifest: Manifest, channel: string, part: Part): Manifest {
  const parts = [...(manifest.channels[channel] ?? []), part]
  parts.sort((a, b) => a.epochs[0] - b.epochs[0])
  return { ...manifest, channels: { ...manifest.channels, [channel]: parts } }
}

/** The manifest without what was published; the files that it waited as become garbage. */
export function dropPublished(manifest: Manifest, published: readonly Unpublished[]): Manifest {
  // By flow and epoch: the objects themselves may have been through JSON.
  const done = new Set(published.map(unpublishedKey))
  const dropped = manifest.unpublished.filter(waiting => done.has(unpublishedKey(waiting)))
  if (dropped.length === 0) return manifest
  const garbage = dropped.flatMap(waiting => toGarbage(storeOf(waiting), waiting.files, manifest.epoch))
  return {
    ...manifest,
    unpublished: manifest.unpublished.filter(waiting => !dropped.includes(waiting)),
    garbage: [...manifest.garbage, ...garbage],
  }
}

/** A flow has an epoch once. */
export function unpublishedKey({ output, epoch }: Pick<Unpublished, 'output' | 'epoch'>): string {
  return `${output}\n${epoch}`
}

/** The `Garbage.store` of its files. */
function storeOf({ output, at }: Unpublished): string {
  return at === 'checkpoint' ? checkpoint : output
}

/** The manifest with one copy more; beyond `max` the oldest become garbage. */
export function addRetained(manifest: Manifest, copy: RetainedManifest, max: number): Manifest {
  const retained = [...manifest.retained, copy]
  const dropped = retained.splice(0, Math.max(0, retained.length - max))
  const garbage = dropped.map(({ name }) => ({ store: checkpoint, name, droppedAt: manifest.epoch }))
  return { ...manifest, retained, garbage: [...manifest.garbage, ...garbage] }
}

/** What is copied: a copy stands for itself and holds neither older copies nor what is to be deleted. */
export function asRetained(manifest: Manifest): Manifest {
  return { ...manifest, retained: [], garbage: [] }
}

/** Whether it rides in HEAD, so that no object of the store has its name. */
export function isInHead({ inline, text }: Pick<FileRef, 'inline' | 'text'>): boolean {
  return inline !== undefined || text !== undefined
}

/** The files of the checkpoint's own that the manifest names, those inside it as well; no copies of manifests. */
export function ownFiles({ channels, unpublished }: Manifest): readonly FileRef[] {
  const waiting = unpublished.filter(({ at }) => at === 'checkpoint')
  return [...Object.values(channels).flat(), ...waiting.flatMap(({ files }) => files)]
}

/** Files that the manifest needs, as `garbageKey`s. Inline files are inside it. */
export function reach(manifest: Manifest): ReadonlySet<string> {
  const keys = new Set<string>()
  for (const file of ownFiles(manifest)) {
    if (!isInHead(file)) keys.add(garbageKey({ store: checkpoint, name: file.name }))
  }
  for (const waiting of manifest.unpublished) {
    for (const { store, name } of toGarbage(storeOf(waiting), waiting.files, 0)) keys.add(garbageKey({ store, name }))
  }
  for (const { name } of manifest.retained) keys.add(garbageKey({ store: checkpoint, name }))
  return keys
}

export function garbageKey(garbage: Pick<Garbage, 'store' | 'name'>): string {
  return `${garbage.store}\n${garbage.name}`
}

function toGarbage(store: string, files: readonly FileRef[], droppedAt: number): readonly Garbage[] {
  return files.filter(file => !isInHead(file)).map(({ name }) => ({ store, name, droppedAt }))
}
