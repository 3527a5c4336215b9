import { copyFile, link, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { addressOf, isS3Address, parseS3Address } from '../../../connectors/s3/spec.ts'
import { configError } from '../../core/errors.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { ObjectStore } from '../../core/ports.ts'
import type { Format } from '../../plan/format.ts'
import { components } from '../components.ts'
import { spoolObject } from './spool.ts'

/** At the end of a Parquet object. */
export const magicBytes = 4

/** What is fetched: all, where nothing says what is needed. */
type Fetched = Pick<Format, 'needed'>

/** How messages speak of a file that a user names. */
export interface FileAsked {
  readonly field: string
  /** 'a Parquet, JSON or CSV file'. */
  readonly expected: string
  /**
   * Of an object of this name: one that knows where its columns lie gets no more than their names.
   *
   * @param tail gives its last bytes, as many as tell a Parquet object from others
   */
  readonly formatOf: (name: string, tail: () => Promise<Uint8Array>) => Fetched | Promise<Fetched>
}

/**
 * Brings one file, or object of S3, to a local path. It may be a hard link: read it only.
 *
 * @returns its name, without folders
 * @throws MillraceError `user` for what is not there, and for a folder
 */
export async function bringFile(path: string, to: string, asked: FileAsked): Promise<string> {
  return isS3Address(path) ? fetchObject(path, to, asked) : linkFile(path, to, asked)
}

async function linkFile(path: string, to: string, { field, expected }: FileAsked): Promise<string> {
  const file = resolve(path)
  const found = await stat(file).catch(() => undefined)
  if (!found) throw configError(field, path, `${expected}; it does not exist`)
  if (!found.isFile())
    throw configError(
      field,
      path,
      found.isDirectory() ? 'one file; it is a folder' : `${expected}; it is no regular file`,
    )
  await link(file, to).catch(() => copyFile(file, to))
  return basename(file)
}

async function fetchObject(path: string, to: string, asked: FileAsked): Promise<string> {
  const { field, expected } = asked
  const { path: key, ...place } = parseS3Address(path, field)
  const name = key.slice(key.lastIndexOf('/') + 1)
  const root = addressOf({ ...place, prefix: key.slice(0, key.length - name.length) })
  const store = await components.openInput(root, field)
  const version = name === '' ? 'missing' : await store.head?.(name)
  if (version === undefined || version === 'missing') throw configError(field, path, `${expected} that is there`)
  await bringVersion(store, version, to, path, asked)
  return name
}

/**
 * Brings an object that a listing found to a local path. It may be a hard link: read it only.
 *
 * @param path names it in errors
 * @throws MillraceError `user` for one that is there no more
 */
export async function bringVersion(
  store: ObjectStore,
  version: ObjectVersion,
  to: string,
  path: string,
  { field, formatOf }: FileAsked,
): Promise<void> {
  const { key: name } = version
  const { signal } = new AbortController()
  const tail = async () => {
    const { sizeBytes: size } = version
    const got = size < magicBytes ? 'missing' : await store.get(name, { range: [size - magicBytes, size] })
    return typeof got === 'string' ? new Uint8Array() : got.body
  }
  const format = await formatOf(name, tail)
  const { is } = await spoolObject({ store, format, signal, columns: [] }, version, to)
  if (is !== 'copied' && is !== 'linked')
    throw configError(field, path, `an object that stays as it is; it ${is === 'missing' ? 'is gone' : 'changed'}`)
}

/** @param extensions lower-case, with the dot */
export function hasExtension(name: string, extensions: readonly string[]): boolean {
  return extensions.some(end => name.toLowerCase().endsWith(end))
}
