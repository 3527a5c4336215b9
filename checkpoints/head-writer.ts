import { MillraceError } from '../src/core/errors.ts'
import { corrupt } from './codec.ts'
import { type HeadSeen, settleWrite } from './decide.ts'
import { fittedHead } from './head.ts'
import { checkpoint } from './manifest.ts'
import { headKey } from './paths.ts'
import { type CheckpointIo, headNameIn, readHead } from './read-head.ts'
import { attemptsMax, isRetryable, pauseMs, unavailable } from './retry.ts'
import type { Garbage, Head } from './types.ts'

/** `head` is what the bucket holds now: the next manifest is made from its manifest. */
export type CommitOutcome =
  | { readonly is: 'committed'; readonly head: Head }
  | { readonly is: 'fenced'; readonly by: Head }

type SettledWrite = { readonly is: 'committed'; readonly seen: HeadSeen } | { readonly is: 'fenced'; readonly by: Head }

/**
 * HEAD in the hands of its owner. Once a write could not be settled, or was fenced, every later one is refused: a new
 * process must claim.
 */
export interface HeadWriter {
  /** What a claim has made of HEAD; undefined while there is none. */
  own(mine: HeadSeen | undefined): void
  /** @throws MillraceError where HEAD may not be written */
  owned(): HeadSeen
  readonly isWriting: boolean
  /** Size of HEAD, as this process last wrote it. */
  headBytes: number
  /** Files of manifests that HEAD named before and names no more: garbage of the next commit. */
  readonly replaced: Garbage[]
  /** The commit of P6. Exactly one of these runs at a time. */
  write(make: (from: Head) => Promise<Head>): Promise<CommitOutcome>
}

export function createHeadWriter(io: CheckpointIo): HeadWriter {
  const headName = headNameIn(io.store)
  const replaced: Garbage[] = []
  /** HEAD as this process last knew it to be, while it is the owner. */
  let mine: HeadSeen | undefined
  /** Why HEAD may not be written any more. */
  let closed: MillraceError | undefined

  const writer = {
    isWriting: false,
    headBytes: 0,
    replaced,
    own(claimed: HeadSeen | undefined) {
      mine = claimed
      closed = undefined
    },
    owned() {
      if (closed !== undefined) throw closed
      if (mine !== undefined) return mine
      throw new MillraceError('fatal', 'not-claimed', `${headName} was not claimed by this process. This is a bug.`)
    },
    async write(make: (from: Head) => Promise<Head>): Promise<CommitOutcome> {
      const from = writer.owned()
      if (writer.isWriting)
        throw new MillraceError('fatal', 'busy', `${headName} is being written already. This is a bug.`)
      writer.isWriting = true
      try {
        const { head, bytes } = await fittedHead(io.store, await make(from.head), io.newId, io.sleep)
        writer.headBytes = bytes.length
        const outcome = await putAndSettle(io, head, bytes, from.eTag).catch((error: unknown) => {
          closed = inDoubt(headName, error)
          throw isRetryable(error) ? closed : error
        })
        if (outcome.is === 'fenced') {
          closed = fenced(headName, outcome.by, from.head)
          return outcome
        }
        mine = outcome.seen
        replaced.push(...replacedBy(head, from.head))
        if (head.released) closed = new MillraceError('fatal', 'released', `${headName} was released. This is a bug.`)
        return { is: 'committed', head }
      } finally {
        writer.isWriting = false
      }
    },
  }
  return writer
}

async function putAndSettle(io: CheckpointIo, head: Head, bytes: Uint8Array, ifMatch: string): Promise<SettledWrite> {
  const headName = headNameIn(io.store)
  const write = { putId: head.putId, term: head.term, ifMatch }
  let cause: unknown
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    try {
      // Commit point. Before this write a crash replays the epoch; after it, recovery finds the epoch in HEAD. Messages
      // are acknowledged and output is published only after it.
      const put = await io.store.put(headKey, bytes, ifMatch)
      if (put.is === 'stored') return { is: 'committed', seen: { head, eTag: put.eTag } }
      cause = put.is === 'unknown' ? put.cause : undefined
    } catch (error) {
      if (!isRetryable(error)) throw error
      cause = error
    }
    const settlement = settleWrite(write, await readHead(io))
    switch (settlement.is) {
      case 'committed':
        return { is: 'committed', seen: { head, eTag: settlement.eTag } }
      case 'fenced':
        return settlement
      case 'regressed':
        throw corrupt(headName, `term ${head.term}, put ${head.putId}, or the one before it`, settlement.found)
      case 'resend':
        await io.sleep(pauseMs(attempt))
    }
  }
  throw unavailable(`Writing ${headName}`, cause)
}

function replacedBy({ manifestFile, manifest }: Head, from: Head): readonly Garbage[] {
  const before = from.manifestFile
  if (!before || manifestFile?.name === before.name) return []
  return [{ store: checkpoint, name: before.name, droppedAt: manifest.epoch }]
}

/** This process does not know what HEAD holds, so only a new claim may go on from it (P6). */
function inDoubt(headName: string, cause: unknown): MillraceError {
  const message = `A write of ${headName} could not be settled; start again once the store answers.`
  return new MillraceError('fatal', 'commit-in-doubt', message, cause)
}

function fenced(headName: string, by: Head, ours: Head): MillraceError {
  return new MillraceError(
    'fenced',
    'fenced',
    `${headName} was claimed by ${by.owner} (term ${by.term}; ours was ${ours.term}).` +
      ' This process stops; the other one goes on.',
  )
}
