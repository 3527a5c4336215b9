import type { Input } from '../../../connectors/input/input.ts'
import { showCount } from '../../core/quantity.ts'
import type { Format } from '../../plan/format.ts'
import type { KeySettings } from '../../plan/key-settings.ts'

/** Why a key of the place is not read. */
export type Ignored = 'hidden' | 'suffix' | 'symlink'
/** 'foreign-key': it is none of the place, as its glob does not match it or a pipeline wrote it. */
export type Unread = Ignored | 'foreign-key'
export type KeyKind = 'object' | Unread

export type KindOf = (key: string) => KeyKind

/** What the keys of a source's objects end in; '' is the end of any. */
export function suffixesOf(
  { extensions }: Pick<Format, 'extensions'>,
  { suffixes = extensions }: Pick<KeySettings, 'suffixes'>,
): readonly string[] {
  return suffixes
}

/** Judges keys for listings and messages alike. */
export function createKindOf(
  { matches, isOne }: Pick<Input, 'matches' | 'isOne'>,
  format: Pick<Format, 'extensions'>,
  settings: Pick<KeySettings, 'hidden' | 'suffixes'>,
): KindOf {
  // Whoever names one object means it, whatever its name.
  const suffixes = isOne ? [''] : suffixesOf(format, settings).map(suffix => suffix.toLowerCase())
  return key => {
    // Output of this or another pipeline that lies here is no input.
    if (!matches(key) || `/${key}`.includes('/_millrace/')) return 'foreign-key'
    // A server or proxy on the way may resolve these to another place.
    if (key.split('/').some(name => name === '.' || name === '..')) return 'hidden'
    if (settings.hidden === 'ignore' && isHidden(key, matches)) return 'hidden'
    // S3's console makes an empty object of such a key for each folder.
    if (key.endsWith('/')) return 'suffix'
    return suffixes.some(suffix => key.toLowerCase().endsWith(suffix)) ? 'object' : 'suffix'
  }
}

/** What a symbolic link is that is not followed; of a folder it ends in a slash. */
export function kindOfLink(kindOf: KindOf, key: string): Unread {
  const kind = kindOf(key)
  return kind === 'object' || (kind === 'suffix' && key.endsWith('/')) ? 'symlink' : kind
}

/** Which symbolic links of a directory are followed: whoever names one file means what it leads to. */
export function linksOf({ isOne }: Input, { symlinks }: KeySettings): 'inside' | 'all' {
  return isOne || symlinks === 'follow' ? 'all' : 'inside'
}

/**
 * Whether a segment of the key is a name that Spark hides (HadoopFSUtils.shouldFilterOutPathName): folders and files of
 * work under way, logs, checksums. The folder of a partition column such as `_day=1` is none.
 */
function isHidden(key: string, matches: Input['matches']): boolean {
  const segments = key.split('/')
  return segments.some((segment, at) => isHiddenName(segment) && !isNamed(segment, at))

  /** Whether the place itself asks for the name, and not a wildcard of it: with another beginning it is none of its keys. */
  function isNamed(segment: string, at: number): boolean {
    return [`x${segment}`, `x${segment.slice(1)}`].every(other => !matches(segments.with(at, other).join('/')))
  }
}

function isHiddenName(name: string): boolean {
  return name.startsWith('.') || (name.startsWith('_') && !name.includes('=')) || name.endsWith('._COPYING_')
}

export interface Counted {
  readonly count: number
  /** The first key of them. */
  readonly first: string
}

export type Counts<K extends Unread = Unread> = Partial<Record<K, Counted>>

/** Keys of a listing that are not read, by reason. */
export type IgnoredKeys = Readonly<Counts<Ignored>>

export function countKey<K extends Unread>(counts: Counts<K>, kind: K, key: string): void {
  const { count, first } = counts[kind] ?? { count: 0, first: key }
  counts[kind] = { count: count + 1, first }
}

export function countOf(ignored: IgnoredKeys): number {
  return Object.values(ignored).reduce((sum, { count }) => sum + count, 0)
}

const words: Readonly<Record<Unread, string>> = {
  hidden: 'hidden',
  suffix: 'with another ending',
  symlink: 'behind symbolic links',
  'foreign-key': 'not of this source',
}

/** For messages: "2 hidden, the first 'b/_temporary/a.json'; 1 with another ending, 'notes.txt'". */
export function ignoredText(ignored: Readonly<Counts>): string {
  return Object.entries(ignored)
    .map(
      ([kind, { count, first }]) =>
        `${showCount(count)} ${words[kind as Unread]}, ${count > 1 ? 'the first ' : ''}'${first}'`,
    )
    .join('; ')
}
