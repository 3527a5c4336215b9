import { showCount } from '../../core/quantity.ts'

/** Why a key of the place is not read. */
export type Ignored = 'hidden' | 'suffix' | 'symlink'

/** 'foreign-key': it is none of the place, as its glob does not match it or a pipeline wrote it. */
export type Unread = Ignored | 'foreign-key'

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

/** Both counts, with the first keys of the first. */
export function addIgnored(a: IgnoredKeys, b: IgnoredKeys): IgnoredKeys {
  const sum: Counts<Ignored> = { ...a }
  for (const [kind, { count, first }] of Object.entries(b) as [Ignored, Counted][])
    sum[kind] = { count: (sum[kind]?.count ?? 0) + count, first: sum[kind]?.first ?? first }
  return sum
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
