import type { CommitOutcome } from '../../../checkpoints/checkpoint-store.ts'
import { MillraceError } from '../../core/errors.ts'

export function fencedBy(outcome: CommitOutcome): MillraceError {
  const by = outcome.is === 'fenced' ? `${outcome.by.owner}, term ${outcome.by.term}` : 'unknown'
  return new MillraceError(
    'fenced',
    'fenced',
    `Another process claimed the checkpoint: ${by}. This process stops; nothing of its last epoch was committed ` +
      'and the other one goes on.',
  )
}
