import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { MillraceError } from '../src/core/errors.ts'
import { withOneList } from './earlier.ts'
import { type PackedManifest, packManifest, unpackManifest } from './packed-manifest.ts'
import type { Head, Manifest, ManifestFile } from './types.ts'

/**
 * Written formats; all earlier ones are read. A change to what a manifest means raises currentFormat; currentMinReader
 * follows when old readers would err. 2: the ledger has outcomes that readers of 1 take for counted, and rows that wait
 * to be taken (`undelivered`), which they would drop. 3: rows ride in HEAD as text, which readers of 2 would look for
 * in files. 4: what is not published yet is one list for every sink, which readers of 3 would not publish.
 * 5: committed rows may be held until they are worth a file (`held-<flow>`), which readers of 4 would never publish.
 * 6: there may be several sources, of each of which something is on record; readers of 5 would take their keys for
 * those of one. 7: the ledger has entries that apply late rows, and versions of lookups, which lie in `lookup-<name>`;
 * readers of 6 would take both for flushes.
 */
export const currentFormat = 7
export const currentMinReader = 7

type DocumentKind = 'head' | 'manifest'

/**
 * HEAD as bytes: `millrace-head/1 sha256=<hex> bytes=<n>`, then one line of JSON. The manifest is left out where a file
 * has it.
 */
export function encodeHead(head: Head): Uint8Array {
  const known = encodedHeads.get(head)
  if (known !== undefined) return known
  const { manifest, ...rest } = head
  const bytes = encode('head', head.manifestFile === undefined ? { ...rest, manifest: packManifest(manifest) } : rest)
  encodedHeads.set(head, bytes)
  return bytes
}

/** A HEAD is measured before it is written, and rows make it large. */
const encodedHeads = new WeakMap<Head, Uint8Array>()

/** HEAD as it stands in its bytes: with the manifest, or with the file that holds it. */
export type DecodedHead = Omit<Head, 'manifest' | 'manifestFile'> &
  (
    | { readonly manifest: Manifest; readonly manifestFile?: undefined }
    | { readonly manifest?: undefined; readonly manifestFile: ManifestFile }
  )

/**
 * Fails closed: whatever does not hash, parse and fit is refused.
 *
 * @param object The object's address, for the message.
 * @throws MillraceError 'corrupt-object', or 'newer-format' of kind 'user' (P14).
 */
export function decodeHead(bytes: Uint8Array, object: string): DecodedHead {
  const head = decode('head', bytes, object)
  check(object, head, {
    term: isCount,
    putId: isText,
    owner: isText,
    beat: isCount,
    released: v => typeof v === 'boolean',
  })
  if (head['shown'] !== undefined) {
    check(object, head, { shown: isRecord })
    check(object, head['shown'] as Record<string, unknown>, { by: isText, atMs: isCount, probe: isCount })
  }
  if (head['manifestFile'] !== undefined) {
    check(object, head, { manifestFile: isRecord, manifest: v => v === undefined })
    check(object, head['manifestFile'] as Record<string, unknown>, { name: isText, bytes: isCount, sha256: isText })
    return head as unknown as DecodedHead
  }
  check(object, head, { manifest: isRecord })
  return { ...head, manifest: manifestOf(object, head) } as unknown as DecodedHead
}

/** A copy of a manifest, kept under `manifests/` (P3). */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return encode('manifest', { format: currentFormat, minReader: currentMinReader, manifest: packManifest(manifest) })
}

export function decodeManifest(bytes: Uint8Array, object: string): Manifest {
  const document = decode('manifest', bytes, object)
  check(object, document, { manifest: isRecord })
  return manifestOf(object, document)
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

const chunkBytes = 1024 * 1024

/** In chunks of the file's own size, if that is small: a stream costs more than all the rest of a small file. */
export async function sha256OfFile(file: string): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash('sha256')
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const buffer = Buffer.allocUnsafe(Math.min(size, chunkBytes))
    let bytes = 0
    while (bytes < size) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, bytes)
      if (bytesRead === 0) break
      hash.update(buffer.subarray(0, bytesRead))
      bytes += bytesRead
    }
    return { bytes, sha256: hash.digest('hex') }
  } finally {
    await handle.close()
  }
}

/** One error for every object that is not what its name promises (P10). */
export function corrupt(object: string, expected: string, found: string): MillraceError {
  return new MillraceError(
    'fatal',
    'corrupt-object',
    `${object} is damaged: expected ${expected}, found ${found}. Restore it from a copy; nothing was changed.`,
  )
}

function encode(kind: DocumentKind, document: object): Uint8Array {
  const json = Buffer.from(`${JSON.stringify(document)}\n`)
  return Buffer.concat([Buffer.from(`millrace-${kind}/1 sha256=${sha256(json)} bytes=${json.length}\n`), json])
}

function decode(kind: DocumentKind, bytes: Uint8Array, object: string): Record<string, unknown> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const newline = buffer.indexOf(10)
  // latin1 keeps every byte apart, so no damaged byte can decode to the expected text.
  const first = buffer.subarray(0, newline < 0 ? 200 : Math.min(newline, 200)).toString('latin1')
  const match = /^millrace-(head|manifest)\/(\d+) sha256=([0-9a-f]{64}) bytes=(0|[1-9]\d*)$/.exec(first)
  if (newline < 0 || match === null || match[1] !== kind) {
    throw corrupt(object, `a first line 'millrace-${kind}/1 sha256=... bytes=...'`, `'${printable(first)}'`)
  }
  if (match[2] !== '1') {
    throw corrupt(object, `a first line 'millrace-${kind}/1', or a newer millrace to read it`, `'${printable(first)}'`)
  }
  const json = buffer.subarray(newline + 1)
  if (json.length !== Number(match[4])) throw corrupt(object, `${match[4]} bytes of JSON`, `${json.length}`)
  const hash = sha256(json)
  if (hash !== match[3]) throw corrupt(object, `SHA-256 ${match[3]}`, hash)
  const document = parse(json.toString('utf8'))
  if (!isRecord(document)) throw corrupt(object, 'a JSON object', typeof document)
  check(object, document, { format: isCount, minReader: isCount })
  if (Number(document['minReader']) > currentFormat) {
    throw new MillraceError(
      'user',
      'newer-format',
      `${object} has format ${String(document['format'])} and ` +
        `needs a reader of format ${String(document['minReader'])};` +
        ` this millrace reads up to ${currentFormat}. Upgrade millrace, or use another checkpoint.`,
    )
  }
  return document
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The manifest of a document, of whatever format, as today's writer has it. */
function manifestOf(object: string, document: Record<string, unknown>): Manifest {
  const given = document['manifest'] as Record<string, unknown>
  const manifest = Number(document['format']) < 4 ? withOneList(given) : given
  if (manifest === undefined)
    throw corrupt(object, 'what waits to be published, as its format has it', 'something else')
  check(object, manifest, {
    checkpointId: isText,
    epoch: isCount,
    engine: isRecord,
    channels: isRecord,
    unpublished: Array.isArray,
    retained: Array.isArray,
    garbage: Array.isArray,
  })
  const unpacked = unpackManifest(manifest as unknown as PackedManifest)
  if (unpacked === undefined) throw corrupt(object, 'the columns of every row', 'rows of columns that are not there')
  return unpacked
}

/** The hash has vouched for the bytes; this catches a writer with another idea of the format. */
function check(object: string, found: Record<string, unknown>, shape: Record<string, (v: unknown) => boolean>): void {
  for (const [field, fits] of Object.entries(shape)) {
    if (!fits(found[field])) throw corrupt(object, `a valid '${field}'`, JSON.stringify(found[field]) ?? 'nothing')
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function printable(text: string): string {
  return text.slice(0, 60).replaceAll(/[^ -~]/g, '?')
}
