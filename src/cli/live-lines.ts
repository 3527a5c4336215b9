import { styleText } from 'node:util'
import { visible } from '../core/visible.ts'
import { shortenText, widthOf } from './text-width.ts'

/** A piece of a line. Its colour says nothing that the text does not say. */
export type Piece = string | { readonly text: string; readonly as: 'faint' | 'warning' }
export type LiveLine = readonly Piece[]
/** Lines for a terminal of so many columns; what is longer is cut. */
export type DrawLines = (columns: number) => readonly LiveLine[]

/** Lines that stay under whatever else is written to the terminal, and are drawn again in their place. */
export interface LiveLines {
  show(draw: DrawLines): void
  /** Removes them. */
  hide(): void
}

export type Screen = Pick<NodeJS.WriteStream, 'write' | 'columns' | 'rows' | 'on' | 'off'>

/** The events of the process that live lines make room for. */
export interface ProcessEvents {
  readonly pid: number
  kill(pid: number, signal: 'SIGSTOP'): boolean
  prependListener(event: string, listener: () => void): unknown
  off(event: string, listener: () => void): unknown
}

export interface LiveLinesOptions {
  /** Where the lines are drawn. */
  readonly screen: Screen
  /** Other streams that end on the same screen. */
  readonly others: readonly Pick<Screen, 'write'>[]
  readonly isColoured: boolean
  readonly process: ProcessEvents
}

/**
 * The cursor rests at the begin of the first line. So whatever clears from there clears all of them, and nothing needs
 * to know how many there are.
 */
const clear = '\r\x1b[J'
/** Nothing wraps where a terminal takes more columns for a sign than is known here. */
const wrapOff = '\x1b[?7l'
const wrapOn = '\x1b[?7h'

/**
 * Whatever is written to one of the streams goes above the lines, by whomever it is written: functions of a pipeline
 * may use `console.log`. So their `write` is replaced while lines are shown.
 */
export function createLiveLines({ screen, others, isColoured, process }: LiveLinesOptions): LiveLines {
  const streams = [screen, ...others]
  let draw: DrawLines | undefined
  let isDrawn = false
  /** Something was written that has not ended its line yet: the lines wait for its end. */
  let isMidLine = false
  let giveBack: (() => void) | undefined

  const write = screen.write.bind(screen)
  const erase = () => {
    if (isDrawn) write(clear)
    isDrawn = false
  }
  const paint = () => {
    if (!draw || isMidLine) return
    const columns = screen.columns || 80
    const lines = draw(columns).slice(0, Math.max(1, (screen.rows || 24) - 1))
    write(painted(lines, columns, isColoured))
    isDrawn = lines.length > 0
  }
  const intercept = (stream: Pick<Screen, 'write'>) => {
    const own = stream.write
    stream.write = function intercepted(this: unknown, ...given: Parameters<typeof own>) {
      erase()
      const isTaken = own.apply(stream, given)
      isMidLine = isOpenLine(given[0], isMidLine)
      paint()
      return isTaken
    } as typeof own
    return () => {
      stream.write = own
    }
  }
  const hide = () => {
    draw = undefined
    erase()
    giveBack?.()
    giveBack = undefined
  }
  /** Node writes warnings and its last words around the streams. */
  const listeners = {
    warning: erase,
    exit: hide,
    SIGTSTP() {
      erase()
      process.kill(process.pid, 'SIGSTOP')
    },
    SIGCONT: paint,
  }
  const attach = () => {
    const restores = streams.map(intercept)
    screen.on('resize', paint)
    for (const [event, listener] of Object.entries(listeners)) process.prependListener(event, listener)
    return () => {
      for (const restore of restores) restore()
      screen.off('resize', paint)
      for (const [event, listener] of Object.entries(listeners)) process.off(event, listener)
    }
  }
  return {
    show(given) {
      draw = given
      giveBack ??= attach()
      paint()
    },
    hide,
  }
}

function isOpenLine(written: unknown, before: boolean): boolean {
  const text = typeof written === 'string' ? written : Buffer.from(written as Uint8Array).toString('latin1')
  return text === '' ? before : !text.endsWith('\n')
}

/**
 * Each line over the one before, then nothing below, and the cursor at the begin of the first. To the terminal they are
 * one line that wraps, by a blank in the last column and one behind it. When it becomes narrower it breaks lines anew;
 * where the cursor is then differs between terminals, but not within its own line.
 */
function painted(lines: readonly LiveLine[], columns: number, isColoured: boolean): string {
  if (lines.length === 0) return clear
  const texts = lines.map(line => fitted(line, columns - 1, isColoured))
  const wrapped = texts.join(`\x1b[K\x1b[${columns}G${wrapOn}  \r${wrapOff}`)
  const up = lines.length > 1 ? `\x1b[${lines.length - 1}A` : ''
  return `\r${wrapOff}${wrapped}\x1b[J${up}\r${wrapOn}`
}

function fitted(line: LiveLine, columns: number, isColoured: boolean): string {
  let left = columns
  let shown = ''
  for (const piece of line) {
    const { text, as } = typeof piece === 'string' ? { text: piece, as: undefined } : piece
    const cut = shortenText(visible(text), left)
    left -= widthOf(cut)
    shown += as === undefined || !isColoured ? cut : styleText(colours[as], cut, { validateStream: false })
    if (cut !== visible(text)) break
  }
  return shown
}

const colours = { faint: 'dim', warning: 'yellow' } as const
