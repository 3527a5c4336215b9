import type { CommitOutcome, HeadWriter } from './head-writer.ts'
import type { MergeIo } from './merge-parts.ts'
import { checkFollows, prepareHead } from './prepare.ts'
import type { KnownReach } from './retained.ts'
import type { Head, Manifest } from './types.ts'

/** Writes of HEAD by its owner: commits, and beats between them. */
export interface Commits {
  commit(next: Manifest, released: boolean): Promise<CommitOutcome>
  /** Nothing is written while a commit waits or runs, which shows the same. */
  beat(amend?: (manifest: Manifest) => Manifest): Promise<CommitOutcome>
  /** A write is under way, or about to be. */
  isBusy(): boolean
}

export function createCommits(io: MergeIo, writer: HeadWriter, known: KnownReach): Commits {
  /** Commits that wait for a beat, or run. */
  let commits = 0
  let beating: Promise<unknown> = Promise.resolve()
  const isBusy = (): boolean => writer.isWriting || commits > 0

  return {
    isBusy,
    async commit(next, released) {
      commits++
      try {
        // A beat is started by a timer, so it may be under way; what became of it, the writer knows.
        await beating.catch(() => undefined)
        return await writer.write(async from => {
          checkFollows(next, from)
          return prepareHead(io, known, from, { next, released, garbage: writer.replaced.splice(0) })
        })
      } finally {
        commits--
      }
    },
    async beat(amend = manifest => manifest) {
      if (isBusy()) return { is: 'committed', head: writer.owned().head }
      const beat = writer.write(async from => beatOf(from, io.newId(), amend))
      beating = beat
      return beat
    },
  }
}

/** The HEAD that shows that its owner lives. */
function beatOf({ manifestFile, ...from }: Head, putId: string, amend: (manifest: Manifest) => Manifest): Head {
  const manifest = amend(from.manifest)
  const isSame = manifestFile !== undefined && manifest === from.manifest
  return { ...from, putId, beat: from.beat + 1, manifest, ...(isSame && { manifestFile }) }
}
