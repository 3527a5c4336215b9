import { open, readFile, rm, writeFile } from 'node:fs/promises'
import type { ObjectStore } from '../src/core/ports.ts'
import type { TextRows } from '../src/core/text-rows.ts'
import { corrupt, sha256, sha256OfFile } from './codec.ts'
import { inlineFileBytesMax } from './decide.ts'
import { type Content, createObject, describe, isSameContent, nameOf, readObject } from './objects.ts'
import { retrying, type Sleep } from './retry.ts'
import type { FileRef } from './types.ts'

/**
 * Makes a local file durable under this name, or inline in the reference when it is small (P3). A crash after this
 * leaves an object that no manifest names: the next claim removes it as an orphan.
 */
export async function stageFile(
  store: ObjectStore,
  name: string,
  file: string,
  rows: number,
  sleep: Sleep,
  inlineBytesMax = inlineFileBytesMax,
): Promise<FileRef> {
  const content = await sha256OfFile(file)
  if (content.bytes <= inlineBytesMax) {
    const body = await readFile(file)
    return { name, rows, bytes: body.length, sha256: sha256(body), inline: body.toString('base64') }
  }
  await createObject(store, name, content, () => store.put(name, { file }, 'absent'), sleep)
  return { name, rows, ...content }
}

/** Rows that ride in HEAD as text, under the name of the file that they would be. */
export function textRef(name: string, text: TextRows): FileRef {
  return { name, rows: text.rows.length, ...contentOf(text), text }
}

function contentOf({ columns, rows }: TextRows): Content {
  const body = Buffer.from(JSON.stringify([columns, rows]))
  return { bytes: body.length, sha256: sha256(body) }
}

/** Rows that ride in HEAD as text, verified (P10). Undefined where the reference is to a file. */
export function textOf({ text, ...ref }: FileRef, object: string): TextRows | undefined {
  if (text === undefined) return undefined
  const found = contentOf(text)
  if (!isSameContent(found, ref)) throw corrupt(`${object} (in HEAD)`, describe(ref), describe(found))
  if (text.rows.length !== ref.rows) throw corrupt(`${object} (in HEAD)`, `${ref.rows} rows`, `${text.rows.length}`)
  return text
}

/** The bytes of an inline file. HEAD's hash has vouched for them; a hash of their own guards our own mistakes. */
export function inlineBytes(ref: FileRef, object: string): Uint8Array {
  const body = Buffer.from(ref.inline ?? '', 'base64')
  const found = { bytes: body.length, sha256: sha256(body) }
  if (!isSameContent(found, ref)) throw corrupt(`${object} (inline)`, describe(ref), describe(found))
  return body
}

/**
 * Brings a file to a local path and verifies length and SHA-256 (P10). What does not verify is not left there. The
 * local file may share its bytes with the store's, so it must only be read.
 */
export async function loadFile(store: ObjectStore, ref: FileRef, to: string, sleep: Sleep): Promise<void> {
  const object = nameOf(store, ref.name)
  // What has the name now may be a link to an object of the store: writing into it would damage that object.
  await rm(to, { force: true })
  if (ref.inline !== undefined) {
    await writeFile(to, inlineBytes(ref, object))
    return
  }
  const found = (await linkFile(store, ref, to, sleep)) ?? (await downloadFile(store, ref, to, sleep))
  if (found !== 'missing' && isSameContent(found, ref)) return
  await rm(to, { force: true })
  throw corrupt(object, describe(ref), found === 'missing' ? 'no object' : describe(found))
}

/** Undefined where the store cannot link. */
async function linkFile(
  store: ObjectStore,
  ref: FileRef,
  to: string,
  sleep: Sleep,
): Promise<{ bytes: number; sha256: string } | undefined> {
  const first = store.link && (await retrying(sleep, () => store.get(ref.name, { range: [0, 1] })))
  if (!store.link || !first || typeof first === 'string') return undefined
  const version = { bucket: '', key: ref.name, eTag: first.eTag, sizeBytes: ref.bytes, lastModifiedMs: 0 }
  // The link is hashed, so what else the store answers, a copy is tried and tells the same.
  return typeof (await store.link(version, to)) === 'string' ? undefined : sha256OfFile(to)
}

async function downloadFile(
  store: ObjectStore,
  ref: FileRef,
  to: string,
  sleep: Sleep,
): Promise<{ bytes: number; sha256: string } | 'missing'> {
  const file = await open(to, 'wx')
  try {
    return await readObject(store, ref.name, ref.bytes, sleep, async piece => {
      await file.writeFile(piece)
    })
  } finally {
    await file.close()
  }
}
