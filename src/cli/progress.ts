import type { Progress } from '../engine/report/summary.ts'
import { showBytes, showCompact, showCount, showRate, showSeconds } from '../core/quantity.ts'
import { clearLine, type Terminal } from './terminal.ts'

export interface ProgressDisplay {
  update(progress: Progress): void
  /** Clears the bar; nothing else is drawn after it. */
  done(): void
}

/** Redraws of the bar, and lines where there is no terminal: a log of an hour's run stays readable. */
const redrawMs = 100
const lineMs = 5_000

/** A bar on a terminal, plain lines elsewhere; all on stderr. */
export function displayProgress(terminal: Terminal): ProgressDisplay {
  const startMs = terminal.nowMs()
  const everyMs = terminal.interactive ? redrawMs : lineMs
  // The first line waits a full turn, so a short run into a file says nothing but its summary.
  let lastMs = terminal.interactive ? Number.NEGATIVE_INFINITY : startMs
  let drawn = false
  return {
    update(progress) {
      const nowMs = terminal.nowMs()
      if (nowMs - lastMs < everyMs) return
      lastMs = nowMs
      drawn = true
      const seconds = (nowMs - startMs) / 1000
      terminal.err(
        terminal.interactive
          ? `${clearLine}${drawBar(progress, seconds, terminal.columns)}`
          : `${describeProgress(progress, seconds)}\n`,
      )
    },
    done() {
      if (terminal.interactive && drawn) terminal.err(clearLine)
      drawn = false
      lastMs = Number.POSITIVE_INFINITY
    },
  }
}

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

/** The bar takes what the text leaves, at most 30 columns; a line that is too long would wrap and scroll. */
function drawBar(progress: Progress, seconds: number, columns: number): string {
  const parts = progressParts(progress, seconds, showCompact)
  const [objects, rows, , ...times] = parts
  // Where it is narrow the bytes go first: the bar shows their share.
  for (const text of [parts.join(', '), [objects, rows, ...times].join(', ')]) {
    const width = Math.min(30, columns - text.length - 8)
    if (width < 4) continue
    const part = partDone(progress)
    const full = Math.round(part * width)
    return `${'█'.repeat(full)}${'░'.repeat(width - full)} ${`${Math.floor(part * 100)}`.padStart(3)}%  ${text}`
  }
  return parts.join(', ').slice(0, columns - 1)
}

/** By bytes: objects differ in size. */
function partDone({ objectsDone, objectsTotal, bytesDone, bytesTotal }: Progress): number {
  const part = bytesTotal > 0 ? bytesDone / bytesTotal : objectsTotal > 0 ? objectsDone / objectsTotal : 0
  return Math.min(1, Math.max(0, part))
}
