import { constants, copyFile, open } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { decodeFooter, footerStart, isUtcNanos, type Thrift } from './footer.ts'

/**
 * LogicalType { TIMESTAMP { isAdjustedToUTC: true, unit: NANOS } } in thrift's compact protocol, and which of its bytes
 * says "true".
 */
const utcNanos = Buffer.from([0x8c, 0x11, 0x1c, 0x3c, 0, 0, 0, 0])
const utcByte = 1
const isNotUtc = 0x12

/**
 * Copies a Parquet file, with its UTC timestamps of nanoseconds marked as local ones. DuckDB cuts the former to
 * microseconds without a word and reads the latter as they are, so that a value which does not fit is seen (S17).
 *
 * @returns why that cannot be done
 */
export async function copyWithLocalNanos(file: string, to: string): Promise<string | undefined> {
  await copyFile(file, to, constants.COPYFILE_FICLONE)
  const handle = await open(to, 'r+')
  try {
    const { size } = await handle.stat()
    const tail = Buffer.alloc(8)
    await handle.read(tail, 0, tail.length, size - tail.length)
    const start = footerStart(tail, size)
    if (start === undefined) return undefined
    const footer = Buffer.alloc(size - start)
    await handle.read(footer, 0, footer.length, start)
    const changed = localNanos(footer)
    if (changed === undefined)
      return 'its timestamps of nanoseconds in UTC cannot be read exactly; write them as microseconds'
    await handle.write(changed, 0, changed.length, start)
    return undefined
  } finally {
    await handle.close()
  }
}

/** The footer with each such timestamp changed and nothing else; undefined where bytes alone do not tell. */
export function localNanos(footer: Uint8Array): Buffer | undefined {
  const changed = Buffer.from(footer)
  for (let at = changed.indexOf(utcNanos); at !== -1; at = changed.indexOf(utcNanos, at))
    changed[at + utcByte] = isNotUtc
  const before = decodeFooter(footer)
  const schema = (before.field_2 as readonly Thrift[]).map(element => (isUtcNanos(element) ? local(element) : element))
  // The same bytes may stand in a name or a statistic.
  return isDeepStrictEqual(decodeFooter(changed), { ...before, field_2: schema }) ? changed : undefined
}

function local(element: Thrift): Thrift {
  const logical = element.field_10 as Thrift
  return { ...element, field_10: { ...logical, field_8: { ...(logical.field_8 as Thrift), field_1: false } } }
}
