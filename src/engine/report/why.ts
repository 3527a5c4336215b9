import { showCounted } from '../../core/quantity.ts'
import { showDuration } from '../../core/duration.ts'
import { visible } from '../../core/visible.ts'
import { instant } from './instant.ts'

// Why a window has no output yet, or what became of it: facts, and the one place that says them in words. `millrace
// why`, the summary of a run and the status page have their sentences from here.

/** What is known of a window of a flow. Times are microseconds since 1970. */
export interface WindowFacts {
  readonly flow: string
  readonly startUs: bigint
  /** Exclusive. */
  readonly endUs: bigint
  /** The group that was asked for: 'zone 74'. Absent: all groups. */
  readonly group?: string
  /** The watermark of its step that closes it: its end, of a session so much later as its gap. */
  readonly closesAtUs: bigint
  /** Its results are given as they grow, before they are final. */
  readonly isUpdating: boolean
  /** Of a checkpoint that was sealed: nothing moves any more. */
  readonly isSealed: boolean
  readonly stands: OpenWindow | ClosedWindow
}

export interface OpenWindow {
  readonly is: 'open'
  /** That have rows in it; null where the state does not tell. */
  readonly groups: number | null
  /** Open windows of earlier steps that lie in it, whose results are still to come. */
  readonly behind: readonly EarlierWindows[]
  readonly hold: Hold
}

export interface EarlierWindows {
  /** The operator. */
  readonly op: string
  readonly windows: number
}

/** What keeps a watermark below the one that is waited for. */
export interface Hold {
  /** Of the step; null before the first. */
  readonly watermarkUs: bigint | null
  /** Those that have not come so far, the one that is furthest back first. Never empty while a window is open. */
  readonly sources: readonly SourceHold[]
}

/** A source that holds a watermark back. */
export interface SourceHold {
  readonly source: string
  readonly watermarkUs: bigint | null
  /** The watermark of the source that is waited for. */
  readonly neededUs: bigint
  /** How much of that is owed to steps between the source and the window, by operator. */
  readonly steps: readonly { readonly op: string; readonly holdUs: bigint }[]
  /** Null: the source has no watermark, so only the end of a backfill moves it. */
  readonly delayUs: bigint | null
  /** Null: it is never taken for silent. */
  readonly idleMs: number | null
  /** What its watermark comes from; null where it has none. */
  readonly by: MarkedBy | null
  /** The highest event time that moved it, or would; null before the first. */
  readonly highMarkUs: bigint | null
  /** Object versions of it in the ledger, and those of them that were read. */
  readonly objects: number
  readonly read: number
}

/** The entry of the ledger that a watermark comes from. */
export type MarkedBy =
  | {
      readonly is: 'object'
      readonly key: string
      readonly highMarkUs: bigint
      /** The row that has that time, where the object was looked at again. */
      readonly row?: number
    }
  | { readonly is: 'tick' }
  | { readonly is: 'flush' }
  /** Of a run, which does not look for the object. */
  | { readonly is: 'mark'; readonly highMarkUs: bigint }
  /** The same: a tick or a flush. */
  | { readonly is: 'moved' }

export interface ClosedWindow {
  readonly is: 'closed'
  /** Undefined where the ledger does not tell it, as in a checkpoint that began with another plan. */
  readonly at: Closing | undefined
  /** Rows of it among the results; null where that cannot be told. */
  readonly results: number | null
  /** Why it cannot: a whole sentence. */
  readonly unknown?: string
  /** Rows that were late for it. */
  readonly late: number
  /** `millrace apply-late` can bring them into it. */
  readonly canApplyLate: boolean
  readonly reach: Reach
}

/** When a window was closed. */
export interface Closing {
  readonly epoch: number
  /** Of the step, after the entry that closed it. */
  readonly watermarkUs: bigint
  readonly by: { readonly is: 'object' | 'tick'; readonly source: string; readonly key?: string } | { is: 'flush' }
}

/** How far the results of an epoch have come. */
export type Reach =
  | { readonly is: 'published'; readonly to: string; readonly file: string | null }
  /** The sink, or the code that takes rows, has not taken them. */
  | { readonly is: 'waiting'; readonly to: string; readonly epochs: number }
  /** They wait until they are worth a file. */
  | { readonly is: 'held'; readonly to: string; readonly rows: number }
  | { readonly is: 'unknown' }

/** The answer in a few sentences: what is, and what changes it. */
export function windowText(facts: WindowFacts): string {
  const { stands } = facts
  return [...(stands.is === 'open' ? openTexts(facts, stands) : closedTexts(facts, stands))].join(' ')
}

/** 'The window 2024-03-01T10:00Z to 2024-03-01T11:00Z of flow-1, zone 74,' */
export function windowName({ flow, startUs, endUs, group }: Omit<WindowFacts, 'stands'>): string {
  const of = group === undefined ? '' : `, ${visible(group)},`
  return `The window ${instant(startUs)} to ${instant(endUs)} of ${flow}${of}`
}

function openTexts(facts: WindowFacts, { groups, behind, hold }: OpenWindow): readonly string[] {
  const name = windowName(facts)
  const has =
    groups === null
      ? 'is open.'
      : groups === 0
        ? `is open, and no row of it has come${behind.length > 0 ? ' to its step' : ''}.`
        : facts.group === undefined
          ? `is open, and has rows of ${showCounted(groups, 'group')}.`
          : 'is open, and has rows.'
  const earlier = behind.map(
    ({ op, windows }) =>
      `${showCounted(windows, 'open window')} of the ${op} before it ${windows === 1 ? 'lies' : 'lie'} in it, ` +
      'and give their results to it when they close.',
  )
  const updating = facts.isUpdating && groups !== 0 ? ['Its results are given as they grow: the sink has them.'] : []
  if (facts.isSealed) return [`${name} ${has}`, 'The checkpoint is sealed, so nothing comes any more.']
  return [`${name} ${has}`, ...earlier, ...updating, ...holdTexts(facts.closesAtUs, hold)]
}

/** What holds a watermark back, and what moves it. @param closesAtUs the watermark that is waited for */
export function holdTexts(closesAtUs: bigint, { watermarkUs, sources }: Hold): readonly string[] {
  const stands = watermarkUs === null ? 'there is none yet' : `it is at ${instant(watermarkUs)}`
  return [
    `It closes when the watermark reaches ${instant(closesAtUs)}; ${stands}.`,
    ...sources.flatMap(sourceTexts),
    ...(sources.length > 1 ? ['It waits for each of them.'] : []),
  ]
}

function sourceTexts(hold: SourceHold): readonly string[] {
  const { source, delayUs, by, objects, read, highMarkUs, idleMs } = hold
  if (delayUs === null && by === null)
    return [
      `Source ${source} has no watermark, so its windows close at the end of a backfill only. ` +
        "Give it one: watermark: { delay: '1 hour' }.",
    ]
  if (by === null && objects === 0)
    return [`Source ${source} holds it: nothing of it has been read yet.`, ...silence(hold)]
  if (by === null)
    return [
      `Source ${source} holds it: ${
        read === 0
          ? `of its ${showCounted(objects, 'object')} none could be read`
          : `none of its rows has moved the watermark; they were set aside, or their times lie outside watermark.bounds`
      }. 'millrace inspect' says why.`,
    ]
  return [
    `Source ${source} holds it: ${byText(by, delayUs)}.`,
    neededText(hold),
    ...(highMarkUs === null || idleMs === null ? [] : silence(hold)),
  ]
}

function byText(by: MarkedBy, delayUs: bigint | null): string {
  if (by.is === 'tick') return 'its watermark is where it was taken to when nothing came from it'
  if (by.is === 'flush') return 'its watermark is where the end of a backfill left it'
  if (by.is === 'moved') return 'its watermark is where silence, or the end of a backfill, has taken it'
  const of = by.is === 'mark' ? '' : ` ('${visible(by.key)}'${by.row === undefined ? '' : `, row ${by.row}`})`
  const less = delayUs === null || delayUs === 0n ? '' : `, less its delay of ${showDuration(delayUs)}`
  return `its latest time is ${instant(by.highMarkUs)}${of}${less}`
}

/** The time of a row that would close the window. */
function neededText({ source, neededUs, delayUs, steps }: SourceHold): string {
  const owed = steps.filter(({ holdUs }) => holdUs > 0n)
  const because = owed.map(({ op, holdUs }) => `the ${op} before it holds results back for ${showDuration(holdUs)}`)
  const why = because.length === 0 ? '' : ` (${because.join(', ')})`
  if (delayUs === null) return `Only the end of a backfill moves it: source ${source} has no watermark.delay.`
  return `An object of ${source} with a time of ${instant(neededUs + delayUs)} or later moves it far enough${why}.`
}

/** What becomes of a source from which nothing comes. */
function silence({ source, idleMs, highMarkUs, neededUs }: SourceHold): readonly string[] {
  if (idleMs === null)
    return [
      `While a run follows it waits for ${source}, however long: watermark: { idle: '15 minutes' } would end that.`,
    ]
  const after = showDuration(BigInt(idleMs) * 1_000n)
  if (highMarkUs === null) return [`A run that follows waits ${after} for it, and then goes on without it.`]
  return highMarkUs >= neededUs
    ? [`A run that follows closes it without that, when nothing has come for ${after}.`]
    : []
}

function closedTexts(facts: WindowFacts, stands: ClosedWindow): readonly string[] {
  const { at, late } = stands
  const when = at
    ? `was closed in epoch ${at.epoch}: ${closedBy(at.by)} took the watermark to ${instant(at.watermarkUs)}.`
    : 'is closed.'
  const lateText =
    late === 0
      ? []
      : [
          `${showCounted(late, 'row')} came later and ${late === 1 ? 'is' : 'are'} in the late ledger` +
            (stands.canApplyLate ? ": 'millrace apply-late' brings them into it." : ', not in the result.'),
        ]
  return [`${windowName(facts)} ${when}`, ...resultTexts(facts, stands), ...lateText]
}

function closedBy(by: Closing['by']): string {
  if (by.is === 'flush') return 'the end of a backfill'
  if (by.is === 'tick') return `the silence of source ${by.source}`
  return `'${visible(by.key ?? '')}' of source ${by.source}`
}

function resultTexts({ group }: WindowFacts, { results, unknown, reach }: ClosedWindow): readonly string[] {
  const of = group === undefined ? '' : ` of ${visible(group)}`
  if (reach.is === 'waiting' || reach.is === 'held') return [reachText(reach, 'Its results')]
  if (results === 0)
    return [`It has no result${of}: it never had a row that was on time, or a step behind it left the result out.`]
  const where = reach.is === 'published' ? `, in ${reach.file ?? reach.to}` : ''
  if (results === null) return [unknown ?? `Its results, if it had rows, were given${where}.`]
  return [`It has ${showCounted(results, 'result')}${of}${where}.`]
}

/** How far the results of an epoch have come. @param what 'It', or 'Its results' */
export function reachText(reach: Reach, what: 'It' | 'Its results'): string {
  const [wait, are] = what === 'It' ? ['waits', 'is'] : ['wait', 'are']
  if (reach.is === 'waiting')
    return (
      `${what} ${wait} for ${reach.to}, with those of ${showCounted(reach.epochs, 'epoch')} in all: ` +
      'it is away, or behind. The log says `trouble`, and why.'
    )
  if (reach.is === 'held')
    return (
      `${what} ${are} committed, and ${wait} to be worth a file (targetSize, maxDelay): ` +
      `${showCounted(reach.rows, 'row')} wait for ${reach.to}.`
    )
  if (reach.is === 'unknown') return ''
  return reach.file === null ? `${what} went to ${reach.to}.` : `${what} ${are} in ${reach.file}.`
}
