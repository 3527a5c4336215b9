import { stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import picomatch from 'picomatch'
import { configError } from '../../src/core/errors.ts'
import { type Input, matchGlob } from '../input/input.ts'
import { parseDirectoryAddress } from './spec.ts'

/**
 * `DIR`, `file:///DIR`, one file, or a glob such as `DIR/2022-*.parquet`: its root is the part before the first
 * wildcard, so a key is the same whichever glob of a directory found it.
 */
export async function parseInput(address: string, field: string): Promise<Input> {
  const path = parseDirectoryAddress(address, field)
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return { root: path, matches: () => true }
  if (found?.isFile()) return { root: dirname(path), matches: key => key === basename(path), isOne: true }
  const { base, isGlob, glob } = picomatch.scan(resolve(path))
  const isDirectory = (await stat(isGlob ? base : path).catch(() => undefined))?.isDirectory()
  if (!isGlob || !isDirectory)
    throw configError(field, address, 'a directory or file that exists, or a glob below a directory')
  return { root: base, matches: matchGlob(glob) }
}
