import { showSeconds } from '../../core/quantity.ts'
import { type AfterSettings, type Deed, tagOf } from '../../plan/after.ts'
import type { RunEvent } from './events.ts'
import type { SetAside } from './summary.ts'

/** What becomes of objects, for whoever starts a pipeline; undefined where they stay as they are. */
export function afterText(after: AfterSettings, pipeline: string): string | undefined {
  if (after.is === 'keep') return undefined
  const { name, value } = tagOf(pipeline)
  const when = after.delayMs > 0 ? `${showSeconds(after.delayMs / 1000)} after their commit` : 'after their commit'
  if (after.is === 'tag') return `objects get the tag ${name}=${value} ${when}`
  if (after.is === 'move') return `objects move to ${after.to} ${when}; a replay reads them there`
  return `objects are deleted ${when}: that gives up replay (verify, backfill --ledger)`
}

export const deedDone: Readonly<Record<Exclude<Deed, 'keep'>, string>> = {
  tag: 'tagged',
  move: 'moved',
  delete: 'deleted',
}

export function afterFailedText({ deed, key, error }: RunEvent & { readonly is: 'after-failed' }): string {
  return (
    `object ${key} is committed, and could not be ${deedDone[deed]}: ${error} It is tried again, and counting goes ` +
    'on; further errors of this kind are only counted'
  )
}

export function leftAloneText({ key, reason }: SetAside): string {
  return `object ${key}, whose rows are committed: ${reason}`
}
