import type { Clock } from '../core/clock.ts'
import { showCompact, showCounted, showSeconds } from '../core/quantity.ts'
import type { EpochFacts, PageFacts, SourceFacts } from '../status/page/facts.ts'
import type { LiveLine, LiveLines, Piece } from './live-lines.ts'
import { widthOf } from './text-width.ts'

const everyMs = 1_000

export interface RunLinesOptions {
  readonly live: LiveLines
  readonly clock: Clock
  gather(): Promise<PageFacts>
  /** Told once, when the facts cannot be gathered; no lines are shown any more. */
  onError(error: unknown): void
}

/** Keeps two lines about a run under its log. @returns ends that, and removes them */
export function showRunLines({ live, clock, gather, onError }: RunLinesOptions): () => Promise<void> {
  const ended = new AbortController()
  const follow = async () => {
    while (!ended.signal.aborted) {
      const facts = await gather()
      if (ended.signal.aborted) return
      live.show(columns => drawRun(facts, columns))
      await clock.sleep(everyMs, ended.signal)
    }
  }
  const over = follow().catch((error: unknown) => {
    live.hide()
    onError(error)
  })
  return async () => {
    ended.abort()
    live.hide()
    await over
  }
}

/** What matters most comes first: the last items go where it is narrow. */
export function drawRun(facts: PageFacts, columns: number): readonly LiveLine[] {
  const isFollowing = facts.process?.state === 'running' && facts.mood !== 'ill'
  const first = isFollowing ? waitingItems(facts) : [{ text: facts.sentence, as: 'warning' } as const]
  return [fitted(first, columns), fitted([...asideItems(facts), ...windowItems(facts), ...sinkItems(facts)], columns)]
}

const gap = '  '

function fitted(items: readonly Piece[], columns: number): LiveLine {
  const line: Piece[] = []
  let width = 1
  for (const item of items) {
    width += widthOf(typeof item === 'string' ? item : item.text) + (line.length > 0 ? gap.length : 0)
    // The first is cut rather than left out.
    if (line.length > 0 && width > columns) break
    line.push(...(line.length > 0 ? [gap] : []), item)
  }
  return line
}

function waitingItems({ sources, epochs, atMs }: PageFacts): readonly Piece[] {
  const slowest = sources.toSorted((a, b) => lagMs(b) - lagMs(a))[0]
  const behindMs = slowest ? lagMs(slowest) : 0
  const at = slowest && sources.length > 1 && behindMs > 0 ? ` at ${slowest.name}` : ''
  const objects = sources.reduce((sum, { inHand }) => sum + (inHand?.objects ?? 0), 0)
  const messages = sources.reduce((sum, { backlog }) => sum + (backlog?.messages ?? 0), 0)
  const backlog = [
    ...(objects > 0 || messages === 0 ? [showCounted(objects, 'object')] : []),
    ...(messages > 0 ? [showCounted(messages, 'message')] : []),
  ]
  const rowsPerSecond = sources.reduce((sum, each) => sum + (each.rowsPerSecond ?? 0), 0)
  return [
    `lag ${showSeconds(behindMs / 1000)}${at}`,
    `backlog ${backlog.join(', ')}`,
    `${showCompact(rowsPerSecond)} rows/s`,
    sparkline(epochs ?? [], atMs),
  ]
}

/** How long the first of what waits has. */
function lagMs({ inHand, backlog }: SourceFacts): number {
  return Math.max(inHand?.oldestMs ?? 0, backlog?.oldestMs ?? 0)
}

const slots = 20
const slotMs = 3_000
const heights = '▁▂▃▄▅▆▇█'

/**
 * Rows of the last minute, the newest to the right. What has no rows lies at the bottom, what has some above it. Slots
 * begin at whole multiples of their length, so that the picture moves on and keeps its shape.
 */
export function sparkline(epochs: readonly Pick<EpochFacts, 'atMs' | 'rows'>[], nowMs: number): string {
  const rows = Array<number>(slots).fill(0)
  for (const epoch of epochs) {
    const slot = slots - 1 - (Math.floor(nowMs / slotMs) - Math.floor(epoch.atMs / slotMs))
    if (slot >= 0 && slot < slots) rows[slot] = (rows[slot] ?? 0) + epoch.rows
  }
  const most = Math.max(...rows)
  return rows.map(count => (count === 0 ? heights[0] : heights[Math.ceil((count / most) * 7)])).join('')
}

function asideItems({ totals }: PageFacts): readonly Piece[] {
  if (!totals) return ['starts']
  const { late, quarantinedRows, setAside } = totals
  const item = (count: number, text: string): Piece => (count > 0 ? { text, as: 'warning' } : text)
  return [
    item(late, `late ${showCompact(late)}`),
    item(quarantinedRows, `bad ${showCompact(quarantinedRows)}`),
    ...(setAside > 0 ? [item(setAside, `${showCounted(setAside, 'object')} set aside`)] : []),
  ]
}

function windowItems({ states }: PageFacts): readonly Piece[] {
  const open = states.filter(({ openWindows }) => openWindows !== null)
  if (open.length === 0) return []
  const count = open.reduce((sum, { openWindows }) => sum + (openWindows ?? 0), 0)
  const [next] = open
    .flatMap(({ windows, watermarkMs }) => windows.map(({ endMs }) => ({ endMs, watermarkMs })))
    .toSorted((a, b) => a.endMs - b.endMs)
  return [showCounted(count, 'open window'), ...(next ? [nextCloseText(next.endMs, next.watermarkMs)] : [])]
}

/** Event times: the window closes when the watermark is there. */
function nextCloseText(endMs: number, watermarkMs: number | null): string {
  const end = Math.abs(endMs) <= 8.64e15 ? new Date(endMs).toISOString().slice(0, 19).replace('T', ' ') : 'the end'
  const left = watermarkMs === null ? '' : `, ${showSeconds(Math.max(0, endMs - watermarkMs) / 1000)} away`
  return `next closes at ${end}${left}`
}

function sinkItems({ sinks }: PageFacts): readonly Piece[] {
  return sinks
    .filter(({ epochs }) => epochs > 0)
    .map(({ flow, epochs }) => ({ text: `${flow} ${showCounted(epochs, 'epoch')} behind`, as: 'warning' }) as const)
}
