import type { Input } from '../../../connectors/input/input.ts'
import type { Format } from '../../plan/format.ts'
import type { KeySettings } from '../../plan/key-settings.ts'
import type { Unread } from '../report/ignored-keys.ts'

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

  /**
   * Whether the place itself asks for the name, and not a wildcard of it: with another beginning it is none of its
   * keys.
   */
  function isNamed(segment: string, at: number): boolean {
    return [`x${segment}`, `x${segment.slice(1)}`].every(other => !matches(segments.with(at, other).join('/')))
  }
}

function isHiddenName(name: string): boolean {
  return name.startsWith('.') || (name.startsWith('_') && !name.includes('=')) || name.endsWith('._COPYING_')
}
