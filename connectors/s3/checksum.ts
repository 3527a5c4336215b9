import { createReadStream } from 'node:fs'
import { crc32 } from 'node:zlib'

export const fileChunkBytes = 1024 * 1024

/** As S3's headers have it. */
export function checksumOf(body: Uint8Array): string {
  return base64(crc32(body))
}

export async function checksumOfFile(file: string): Promise<string> {
  let checksum = 0
  for await (const chunk of createReadStream(file, { highWaterMark: fileChunkBytes }))
    checksum = crc32(chunk as Buffer, checksum)
  return base64(checksum)
}

function base64(checksum: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(checksum)
  return bytes.toString('base64')
}
