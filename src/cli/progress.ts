import { type Phase, phases, type RunEvent } from '../engine/report/events.ts'
import type { Progress } from '../engine/report/summary.ts'
import { showBytes, showCompact, showCount, showRate, showSeconds } from '../core/quantity.ts'
import type { LiveLine } from './live-lines.ts'
import type { Terminal } from './terminal.ts'
import { widthOf } from './text-width.ts'

export interface ProgressDisplay {
  update(progress: Progress): void
  /** Takes how long the parts of an epoch took. */
  onEvent(event: RunEvent): void
  /** Removes the bar; nothing else is drawn after it. */
  done(): void
}

/** Redraws of the bar, and lines where there is no terminal: a log of an hour's run stays readable. */
const redrawMs = 100
const lineMs = 5_000

/**
 * A bar on a terminal, plain lines elsewhere; all on stderr.
 *
 * @param isForMachine what stdout gets is read by a program: no bar then
 */
export function displayProgress(terminal: Terminal, isForMachine = false): ProgressDisplay {
  const live = isForMachine ? undefined : terminal.live
  const startMs = terminal.nowMs()
  const everyMs = live ? redrawMs : lineMs
  const spent: Spent = { mark: 0, partial: 0, apply: 0, commit: 0, publish: 0 }
  // The first line waits a full turn, so a short run into a file says nothing but its summary.
  let lastMs = live ? Number.NEGATIVE_INFINITY : startMs
  return {
    update(progress) {
      const nowMs = terminal.nowMs()
      if (nowMs - lastMs < everyMs) return
      lastMs = nowMs
      const seconds = (nowMs - startMs) / 1000
      if (live) live.show(columns => drawProgress(progress, spent, seconds, columns))
      else terminal.err(`${describeProgress(progress, seconds)}\n`)
    },
    onEvent(event) {
      if (event.is === 'phase') spent[event.phase] += event.ms
    },
    done() {
      live?.hide()
      lastMs = Number.POSITIVE_INFINITY
    },
  }
}

/** Milliseconds by phase. */
type Spent = Record<Phase, number>

export function describeProgress(progress: Progress, seconds: number): string {
  return progressParts(progress, seconds, showCount).join(', ')
}

function progressParts(progress: Progress, seconds: number, show: (count: number) => string): readonly string[] {
  const part = partDone(progress)
  return [
    `${show(progress.objectsDone)}/${show(progress.objectsTotal)} objects`,
    `${show(progress.rows)} rows`,
    `${showBytes(progress.bytesDone)}/${showBytes(progress.bytesTotal)}`,
    showRate(progress.rows, seconds, show),
    ...(progress.undelivered > 0
      ? [`${show(progress.undelivered)} ${progress.undelivered === 1 ? 'epoch' : 'epochs'} to hand over`]
      : []),
    ...(part > 0 && part < 1 ? [`${showSeconds((seconds * (1 - part)) / part)} left`] : []),
  ]
}

/** The bar, and below it what its shades mean. Phases overlap: their shares are those of the work, not of the time. */
function drawProgress(progress: Progress, spent: Spent, seconds: number, columns: number): readonly LiveLine[] {
  const shares = sharesOf(spent)
  const legend = shares.map(({ phase, part }) => `${shades[phase]} ${phase} ${Math.round(part * 100)}%`)
  return [
    [barLine(progress, shares, seconds, columns)],
    ...(shares.length > 0 ? [[{ text: legend.join('  '), as: 'faint' } as const]] : []),
  ]
}

/** As they follow each other in an epoch. */
const shades: Readonly<Record<Phase, string>> = { mark: '█', partial: '▓', apply: '▒', commit: '▚', publish: '▞' }

interface Share {
  readonly phase: Phase
  readonly part: number
}

function sharesOf(spent: Spent): readonly Share[] {
  const sum = phases.reduce((all, phase) => all + spent[phase], 0)
  return phases.flatMap(phase => (spent[phase] > 0 ? [{ phase, part: spent[phase] / sum }] : []))
}

/** The bar takes what the text leaves, at most 30 columns. */
function barLine(progress: Progress, shares: readonly Share[], seconds: number, columns: number): string {
  const parts = progressParts(progress, seconds, showCompact)
  const [objects, rows, , ...times] = parts
  const part = partDone(progress)
  const percent = `${`${Math.floor(part * 100)}`.padStart(3)}%`
  // Where it is narrow the bytes go first: the bar shows their share.
  for (const text of [parts.join(', '), [objects, rows, ...times].join(', ')]) {
    const width = Math.min(30, columns - widthOf(text) - 8)
    if (width < 4) continue
    const full = Math.round(part * width)
    return `${shaded(full, shares)}${'░'.repeat(width - full)} ${percent}  ${text}`
  }
  return `${percent}  ${parts.join(', ')}`
}

/** So many columns, divided as the work is. */
function shaded(columns: number, shares: readonly Share[]): string {
  let before = 0
  let shown = ''
  for (const { phase, part } of shares) {
    before += part
    shown += shades[phase].repeat(Math.max(0, Math.round(before * columns) - shown.length))
  }
  return shown.padEnd(columns, shades.mark)
}

/** By bytes: objects differ in size. */
function partDone({ objectsDone, objectsTotal, bytesDone, bytesTotal }: Progress): number {
  const part = bytesTotal > 0 ? bytesDone / bytesTotal : objectsTotal > 0 ? objectsDone / objectsTotal : 0
  return Math.min(1, Math.max(0, part))
}
