import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { skippedBecause } from './skipped-because.ts'

/** Data made elsewhere, which lies beside the repository where it lies at all. */
export interface SharedData {
  readonly path: string
  readonly isThere: boolean
}

/** @param name of a folder of the shared data: 'tlc' */
export function sharedData(name: string): SharedData {
  const path = resolve(import.meta.dirname, '../../shared/data', name)
  const isThere = existsSync(path)
  if (!isThere) skippedBecause(`there is no data at ${path}`)
  return { path, isThere }
}
