import { corrupt, sha256 } from '../../checkpoints/codec.ts'
import { deleteListed } from '../../checkpoints/collect.ts'
import { inlineFileBytesMax } from '../../checkpoints/decide.ts'
import { inlineBytes, stageFile } from '../../checkpoints/files.ts'
import { createObject, describe, isSameContent, nameOf, readObject } from '../../checkpoints/objects.ts'
import { markerKey, outputPrefix, parseStagedPath, stagedPrefix, stagedPath } from '../../checkpoints/paths.ts'
import { realSleep, retrying, type Sleep } from '../../checkpoints/retry.ts'
import { isMillraceError, MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { WaitingFile } from '../../src/core/sink-port.ts'

export interface OutboxOptions {
  readonly store: ObjectStore
  readonly checkpointId: string
  /** Name of the pipeline: for people who read the marker. */
  readonly pipeline: string
  readonly newId: () => string
  readonly sleep?: Sleep
}

export interface StageFile {
  readonly term: number
  readonly epoch: number
  /** Local file. */
  readonly file: string
  readonly rows: number
  /** Final key, used once. */
  readonly to: string
  /** So many bytes of it may ride in HEAD. */
  readonly inlineBytesMax: number
}

/** The way of single files into an output folder: staged before the commit, published after it (P8). */
export interface Outbox {
  /**
   * Takes the folder for this checkpoint, or checks that it has it.
   *
   * @param isNewCheckpoint Whether nothing was committed yet (epoch 0).
   */
  own(isNewCheckpoint: boolean): Promise<void>
  /** What `own` refuses is refused, and nothing is written. */
  check(isNewCheckpoint: boolean): Promise<void>
  stage(output: StageFile): Promise<WaitingFile>
  /** Makes a committed file visible under its final key. Repeating it is safe (I8). */
  publish(file: WaitingFile, to: string): Promise<void>
  /** Deletes what lower terms staged and no manifest names: by name, which is never used twice. How many. */
  orphans(term: number, named: (name: string) => boolean): Promise<number>
}

export function createOutbox(options: OutboxOptions): Outbox {
  const { store, checkpointId, newId } = options
  const sleep = options.sleep ?? realSleep

  return {
    async own(isNewCheckpoint) {
      if (await isOwn(isNewCheckpoint)) return
      const marker = Buffer.from(`${JSON.stringify({ checkpointId, pipeline: options.pipeline })}\n`)
      const content = { bytes: marker.length, sha256: sha256(marker) }
      try {
        await createObject(store, markerKey, content, () => store.put(markerKey, marker, 'absent'), sleep)
      } catch (error) {
        // Another checkpoint was faster.
        if (!isMillraceError(error) || error.code !== 'object-exists') throw error
        const rival = await readOwner(store, sleep)
        if (rival !== checkpointId) throw owned(rival ?? 'unknown')
      }
    },

    async check(isNewCheckpoint) {
      await isOwn(isNewCheckpoint)
    },

    stage({ term, epoch, file, rows, to, inlineBytesMax }) {
      if (to.startsWith(outputPrefix)) {
        throw new MillraceError('fatal', 'invalid-key', `'${to}' is no name for output; ${outputPrefix} is reserved.`)
      }
      const name = stagedPath(term, epoch, newId())
      return stageFile(store, name, file, rows, sleep, Math.min(inlineFileBytesMax, inlineBytesMax))
    },

    publish: (file, to) => publishFile(store, sleep, file, to),

    orphans(term, named) {
      return retrying(sleep, () =>
        deleteListed(store, stagedPrefix, key => {
          const name = parseStagedPath(key)
          return name !== undefined && name.term < term && !named(key)
        }),
      )
    },
  }

  /** Whether the folder is this checkpoint's already; else it is free. */
  async function isOwn(isNewCheckpoint: boolean): Promise<boolean> {
    const owner = await readOwner(store, sleep)
    if (owner === checkpointId) return true
    if (owner !== undefined) throw owned(owner)
    if (isNewCheckpoint) return false
    throw new MillraceError(
      'user',
      'output-missing',
      `${store.address} has no ${markerKey}, but checkpoint ${checkpointId} has committed output for it. ` +
        'Was the folder' +
        ' moved or emptied? Put it back, or start with a new checkpoint folder to compute everything again.',
    )
  }

  function owned(owner: string): MillraceError {
    return new MillraceError(
      'user',
      'output-owned',
      `${store.address} belongs to checkpoint ${owner} and cannot take the output of checkpoint ${checkpointId}.` +
        ' Choose another output folder, or the checkpoint folder that it belongs to.',
    )
  }
}

async function publishFile(store: ObjectStore, sleep: Sleep, file: WaitingFile, to: string): Promise<void> {
  if (file.inline !== undefined) {
    const body = inlineBytes(file, nameOf(store, file.name))
    await createObject(store, to, file, () => store.put(to, body, 'absent'), sleep)
    return
  }
  try {
    await createObject(store, to, file, () => store.copy(file.name, to), sleep)
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'missing-object') throw error
    // Published before, and collected since: the manifest at hand is then an older one.
    const found = await readObject(store, to, file.bytes, sleep)
    if (found !== 'missing' && isSameContent(found, file)) return
    const state = found === 'missing' ? 'no object' : describe(found)
    throw corrupt(nameOf(store, to), `${describe(file)}, or ${file.name} to copy it from`, state)
  }
}

/** The checkpoint whose output a folder holds, as its marker says; undefined where it has none. */
export async function readOwner(store: ObjectStore, sleep: Sleep = realSleep): Promise<string | undefined> {
  const found = await retrying(sleep, () => store.get(markerKey))
  if (typeof found === 'string') return undefined
  const text = Buffer.from(found.body).toString()
  const id = /"checkpointId":"([^"]+)"/.exec(text)?.[1]
  if (id === undefined) throw corrupt(nameOf(store, markerKey), 'JSON with a checkpointId', `'${text.slice(0, 80)}'`)
  return id
}
