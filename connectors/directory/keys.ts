import { join } from 'node:path'
import { MillraceError } from '../../src/core/errors.ts'
import { pathOf } from './disk.ts'

/** Names that begin so are the store's own: never listed, never a key. */
export const hidden = '.millrace-'
/** Last segments of mutable keys that other programs open as plain files. */
const shownFolders: Readonly<Record<string, string>> = {
  'catalog.ducklake': `${hidden}catalog`,
  'version-hint.text': `${hidden}version-hint`,
}
/** Last segment of a mutable key, and the folder that stands for it (P7). */
const mutableFolders: Readonly<Record<string, string>> = {
  HEAD: 'head',
  latest: 'latest',
  ...shownFolders,
}
const bodiesSuffix = '-bodies'
const reserved = new Set(Object.values(mutableFolders).flatMap(folder => [folder, folder + bodiesSuffix]))

/** Where a mutable key lies. */
export interface MutablePaths {
  readonly parent: string
  /** Holds the pointer. */
  readonly folder: string
  readonly bodies: string
  /** A plain file with the newest body, for programs that know nothing of pointers. */
  readonly shown?: string
}

/** undefined for a key that is written once. */
export function mutableOf(root: string, key: string): MutablePaths | undefined {
  const slash = key.lastIndexOf('/')
  const name = key.slice(slash + 1)
  const folder = Object.hasOwn(mutableFolders, name) ? mutableFolders[name] : undefined
  if (folder === undefined) return undefined
  const parent = slash < 0 ? root : pathOf({ root }, key.slice(0, slash))
  const shown = Object.hasOwn(shownFolders, name) ? { shown: join(parent, name) } : {}
  return { parent, folder: join(parent, folder), bodies: join(parent, folder + bodiesSuffix), ...shown }
}

/** The mutable key that a folder of this name stands for, if it does for one. */
export function mutableNamed(folder: string): string | undefined {
  return Object.keys(mutableFolders).find(key => mutableFolders[key] === folder)
}

/** Whether a folder of this name may hold the bodies of a mutable key. */
export function mayHoldBodies(folder: string): boolean {
  return folder.endsWith(bodiesSuffix) && reserved.has(folder)
}

export function checkKey(key: string): void {
  const valid =
    !key.includes('\\') &&
    !key.includes('\0') &&
    key.split('/').every(s => s !== '' && s !== '.' && s !== '..' && !s.startsWith(hidden))
  if (valid) return
  throw new MillraceError(
    'fatal',
    'invalid-key',
    `'${key}' is not a key of a directory: expected names parted by '/', without '.', '..', '\\', '${hidden}*' or NUL.`,
  )
}

/** Whether a folder of this name stands for a mutable key, so that nothing else may lie in it. */
export function isReservedFolder(name: string): boolean {
  return reserved.has(name.toLowerCase())
}

/** What is written must not fall into the folders that stand for mutable keys. */
export function checkWritableKey(key: string): void {
  checkKey(key)
  const segments = key.split('/')
  const inside = segments.find((segment, i) => {
    const isMutableKey = i === segments.length - 1 && Object.hasOwn(mutableFolders, segment)
    return isReservedFolder(segment) && !isMutableKey
  })
  if (inside === undefined) return
  throw new MillraceError('fatal', 'invalid-key', `'${key}' cannot be written: '${inside}' stands for a mutable key.`)
}
