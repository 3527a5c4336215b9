import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { checkFileSystem } from '../../connectors/directory/store.ts'
import { parseDirectoryAddress } from '../../connectors/directory/spec.ts'
import { jsonFormat } from '../../connectors/json/format.ts'
import { parquetFormat } from '../../connectors/parquet/format.ts'
import { mkdir } from 'node:fs/promises'
import type { ObjectStore } from '../core/ports.ts'
import type { Format } from '../plan/format.ts'

/** Settings to components: the one place that knows every store and format. */
export const formats: Readonly<Record<string, Format>> = { parquet: parquetFormat, json: jsonFormat }

/** Opens a store for reading; the directory must exist. @param field names the address in errors */
export function openStore(address: string, field: string): ObjectStore {
  return createDirectoryStore(parseDirectoryAddress(address, field))
}

/** Opens a store for writing: makes the directory, refuses file systems without atomic link and rename (P7). */
export async function openWritableStore(address: string, field: string): Promise<ObjectStore> {
  const root = parseDirectoryAddress(address, field)
  await mkdir(root, { recursive: true })
  await checkFileSystem(root)
  return createDirectoryStore(root)
}
