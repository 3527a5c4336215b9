import { MillraceError } from '../src/core/errors.ts'
import type { ObjectStore } from '../src/core/ports.ts'
import { completeHead } from './head.ts'
import { nameOf } from './objects.ts'
import { type FileName, headKey, kindPrefixes, parseFilePath } from './paths.ts'
import type { Sleep } from './retry.ts'
import type { Head } from './types.ts'

/** The checkpoint's own files, whether or not anything names them. What else lies there is left out. */
export async function* listFiles(store: ObjectStore): AsyncGenerator<FileName & { readonly key: string }> {
  for (const prefix of kindPrefixes)
    for await (const { key } of store.list(prefix)) {
      const name = parseFilePath(key)
      if (name !== undefined) yield { ...name, key }
    }
}

/** What HEAD held before, newest first, where the store keeps it. What cannot be read any more is left out. */
export async function formerHeads(store: ObjectStore, sleep: Sleep): Promise<readonly Head[]> {
  const heads: Head[] = []
  for (const body of (await store.former?.(headKey)) ?? []) {
    try {
      heads.push(await completeHead(store, body, nameOf(store, headKey), sleep))
    } catch (error) {
      // A power failure may leave half of one, and a file of its manifest is collected. What is needed is looked for in
      // the next.
      if (!(error instanceof MillraceError) || !['corrupt-object', 'newer-format'].includes(error.code)) throw error
    }
  }
  return heads
}

/** A file of a checkpoint whose HEAD is not there; undefined where there is none, as at a birth. */
export async function findFileWithoutHead(store: ObjectStore, sleep: Sleep): Promise<string | undefined> {
  for await (const { key } of listFiles(store)) return key
  // A birth that was broken off leaves the body of epoch 0.
  return (await formerHeads(store, sleep)).some(({ manifest }) => manifest.epoch > 0)
    ? 'the bodies of its HEAD'
    : undefined
}

export function headLost(store: ObjectStore, file: string): MillraceError {
  return new MillraceError(
    'user',
    'head-lost',
    `${store.address} holds files of a checkpoint (${file}) and no HEAD, which says what they mean. ` +
      'Was it deleted, or is this an incomplete copy? Nothing was changed. ' +
      'Bring HEAD back from a copy or, in a versioned bucket, as its last version; else ' +
      "'millrace repair CHECKPOINT' goes back to the newest manifest that is there. " +
      'To begin anew, use another checkpoint and output.',
  )
}
