import { text } from '../../core/option-kinds.ts'
import { showCount, showCounted } from '../../core/quantity.ts'
import type { Retried } from '../../engine/retry.ts'
import { retryOptions } from '../../engine/options.ts'
import type { Command } from '../command.ts'
import { checkpointArgument, jsonOption } from '../options.ts'
import { waitingLine } from '../run-backfill.ts'
import { shownPath } from '../shown-path.ts'
import { listenForSignals } from '../signals.ts'

const options = {
  checkpoint: checkpointArgument,
  object: {
    kind: text('the key of an object'),
    isRepeated: true,
    placeholder: 'KEY',
    otherwise: 'all that are set aside, but those skipped on purpose and those of which another version counts',
    about: 'An object that is read again, whatever it was set aside for. May be given several times.',
  },
  takeover: retryOptions.takeover,
  json: jsonOption,
} as const

export const retryCommand: Command<typeof options> = {
  name: 'retry',
  summary: 'have objects that are set aside read again by the next run',
  about: `Puts objects back that are set aside and of which no row was counted: those that could not be read, were denied,
archived, suspect or gone. The next run or backfill of the pipeline reads them before anything new, and the
ledger holds them once more, in that place. What is wrong with them must have been put right before.`,
  options,
  notes: `It writes into the checkpoint, so it waits for a live owner. An object whose rows were counted is refused.`,
  async run({ checkpoint, object, takeover, json }, terminal) {
    const { retry } = await import('../../engine/retry.ts')
    const stopping = listenForSignals(terminal)
    try {
      const retried = await retry(checkpoint, {
        ...(object && { objects: object }),
        ...(takeover && { takeover }),
        onEvent: event => {
          if (event.is === 'waiting') terminal.err(`${waitingLine(event.owner)}\n`)
        },
        signal: stopping.drain,
      })
      terminal.out(json ? `${JSON.stringify(retried)}\n` : renderRetried(retried))
      return 0
    } catch (error) {
      if (!stopping.drain.aborted) throw error
      return stopping.exitCode() ?? 1
    } finally {
      stopping.close()
    }
  },
}

const shown = 20

export function renderRetried({ checkpoint, pipeline, count, objects }: Retried): string {
  if (count === 0) return `${pipeline}: nothing to read again, no object of ${shownPath(checkpoint)} is set aside.\n`
  const are = count === 1 ? 'is' : 'are'
  const more = count - Math.min(shown, objects.length)
  return [
    `${pipeline}: ${showCounted(count, 'object')} ${are} read again by the next run or backfill, before anything new.`,
    '',
    ...objects.slice(0, shown).map(({ key, outcome, reason }) => `  ${key}: ${outcome}, ${reason}`),
    ...(more > 0 ? [`  and ${showCount(more)} more: --json lists the first thousand`] : []),
    '',
  ].join('\n')
}
