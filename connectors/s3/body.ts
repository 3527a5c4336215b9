import { addAbortSignal, type Readable } from 'node:stream'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { MillraceError } from '../../src/core/errors.ts'
import type { GetOptions, StoredBody } from '../../src/core/ports.ts'

/**
 * What was asked for of an object, and how large all of it is. No more is held than that, whatever a server sends: one
 * that ignores ranges sends everything.
 */
export async function bodyOf(
  object: string,
  output: GetObjectCommandOutput,
  range: GetOptions['range'],
  signal?: AbortSignal,
): Promise<Pick<StoredBody, 'body' | 'sizeBytes'>> {
  const stream = output.Body as Readable
  if (signal !== undefined) addAbortSignal(signal, stream)
  const chunks: Buffer[] = []
  let read = 0
  try {
    const { from, to, sizeBytes } = extentOf(object, output, range)
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const wanted = chunk.subarray(Math.max(0, from - read), Math.max(0, to - read))
      if (wanted.length > 0) chunks.push(wanted)
      read += chunk.length
      // Not before: a connection whose body was read to its end is used again.
      if (read > to) break
    }
    const length = output.ContentRange === undefined ? sizeBytes : to
    if (length !== undefined && read !== length && (read < to || output.ContentRange !== undefined))
      throw shortBody(object, `${read} bytes came where ${length} were announced`)
    const [only] = chunks
    const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
    return { body, sizeBytes: sizeBytes ?? read }
  } finally {
    // An unread body would hold its connection, and the process, for minutes.
    stream.destroy()
  }
}

/**
 * Bytes [from, to) of the answer's body are wanted, and the whole object is so large; undefined where it does not tell.
 */
function extentOf(
  object: string,
  { ContentRange, ContentLength }: GetObjectCommandOutput,
  range: GetOptions['range'],
): { readonly from: number; readonly to: number; readonly sizeBytes: number | undefined } {
  if (ContentRange === undefined) {
    const [from, to] = range ?? [0, Infinity]
    if (ContentLength === undefined && range !== undefined)
      throw shortBody(object, 'a body of unknown length came for a range')
    return { from, to, sizeBytes: ContentLength }
  }
  const [first, last, sizeBytes] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange) ?? []).slice(1).map(Number)
  const isSound =
    first !== undefined &&
    last !== undefined &&
    sizeBytes !== undefined &&
    Number.isSafeInteger(sizeBytes) &&
    first <= last &&
    last < sizeBytes
  if (!isSound || !range || first !== range[0] || last >= range[1])
    throw shortBody(
      object,
      `'${ContentRange}' came for ${range ? `bytes ${range[0]}-${range[1] - 1}` : 'the whole object'}`,
    )
  return { from: 0, to: last + 1 - first, sizeBytes }
}

function shortBody(object: string, found: string): MillraceError {
  return new MillraceError(
    'retry',
    'short-body',
    `Reading ${object}: the answer is not what was asked for, ${found}. ` +
      'Try again; if it stays so, look at the server or proxy between.',
  )
}
