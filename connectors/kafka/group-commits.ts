import { positionsIn } from './partitions.ts'
import type { Topic, TopicContext } from './topic.ts'

/** Offsets of the group, for tools that show lag. Nothing reads them but people: positions are in the checkpoint. */
export interface GroupCommits {
  commit(): Promise<void>
  /** Unless that was done a short while ago, or is under way. */
  commitSoon(): void
  /** What `commitSoon` has begun. */
  readonly underWay: Promise<void> | undefined
}

const commitMs = 5_000

type CommitContext = Pick<TopicContext, 'log' | 'clock' | 'closing' | 'count' | 'warnOnce'> & {
  readonly groupId: string
}

export function createGroupCommits(context: CommitContext, { partitions }: Topic): GroupCommits {
  const { log, clock, closing, groupId, count, warnOnce } = context
  let committedAtMs = Number.NEGATIVE_INFINITY
  let underWay: Promise<void> | undefined

  async function commit(): Promise<void> {
    committedAtMs = clock.nowMs()
    try {
      await log.commit(groupId, positionsIn(partitions))
    } catch (error) {
      count('group-commits-failed')
      warnOnce('group-commit', 'group-commit-failed', (error as Error).message, { groupId })
    }
  }

  return {
    commit,
    commitSoon() {
      if (underWay || closing.aborted || clock.nowMs() - committedAtMs < commitMs) return
      underWay = commit().finally(() => {
        underWay = undefined
      })
    },
    get underWay() {
      return underWay
    },
  }
}
