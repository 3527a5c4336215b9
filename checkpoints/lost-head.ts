import { MillraceError } from '../src/core/errors.ts'
import type { ObjectStore } from '../src/core/ports.ts'
import { decodeHead } from './codec.ts'
import { nameOf } from './objects.ts'
import { type FileName, HEAD_KEY, KIND_PREFIXES, parseFilePath } from './paths.ts'
import type { Head } from './types.ts'

/** The checkpoint's own files, whether or not anything names them. What else lies there is left out. */
export async function* listFiles(store: ObjectStore): AsyncGenerator<FileName & { readonly key: string }> {
  for (const prefix of KIND_PREFIXES)
    for await (const { key } of store.list(prefix)) {
      const name = parseFilePath(key)
      if (name !== undefined) yield { ...name, key }
    }
}

/** What HEAD held before, newest first, where the store keeps it. What does not decode is left out. */
export async function formerHeads(store: ObjectStore): Promise<readonly Head[]> {
  const bodies = (await store.former?.(HEAD_KEY)) ?? []
  return bodies.flatMap(body => {
    try {
      return [decodeHead(body, nameOf(store, HEAD_KEY))]
    } catch {
      // A power failure may leave half of one. What is needed is looked for in the next.
      return []
    }
  })
}

/** A file of a checkpoint whose HEAD is not there; undefined where there is none, as at a birth. */
export async function findFileWithoutHead(store: ObjectStore): Promise<string | undefined> {
  for await (const { key } of listFiles(store)) return key
  // A birth that was broken off leaves the body of epoch 0.
  return (await formerHeads(store)).some(({ manifest }) => manifest.epoch > 0) ? 'the bodies of its HEAD' : undefined
}

export function headLost(store: ObjectStore, file: string): MillraceError {
  return new MillraceError(
    'user',
    'head-lost',
    `${store.address} holds files of a checkpoint (${file}) and no HEAD, which says what they mean. Was it deleted, or is this an` +
      ' incomplete copy? Nothing was changed. Bring HEAD back from a copy or, in a versioned bucket, as its last version; else' +
      " 'millrace repair CHECKPOINT' goes back to the newest manifest that is there. To begin anew, use another checkpoint and output.",
  )
}
