import { EventEmitter } from 'node:events'
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes'
import headless from '@xterm/headless'

/** A terminal's screen: what a person sees of what was written. */
export interface EmulatedScreen {
  /** A stream that ends on it, as `process.stderr` does; it has the size and tells of changes. */
  openStream(): EmulatedStream
  resize(columns: number, rows: number): void
  /** All lines, those that have scrolled away among them, without blanks at their ends and without blank ones at the end. */
  lines(): Promise<readonly string[]>
  cursor(): Promise<{ readonly column: number; readonly line: number }>
  /** The colour of the first cell of the text; -1 is that of the terminal. */
  colourOf(text: string): Promise<number>
}

export interface EmulatedStream extends EventEmitter {
  readonly isTTY: true
  readonly columns: number
  readonly rows: number
  write(text: string): boolean
}

export function emulateScreen(columns: number, rows = 10): EmulatedScreen {
  const terminal = new headless.Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: true })
  // The widths of Unicode 15 and of what several code points are together, as newer terminals have them.
  terminal.loadAddon(new UnicodeGraphemesAddon())
  const streams: EmulatedStream[] = []
  const written = () => new Promise<void>(resolve => terminal.write('', resolve))
  const { active } = terminal.buffer
  const all = () => Array.from({ length: active.length }, (_, index) => active.getLine(index))
  return {
    openStream() {
      const stream = Object.defineProperties(new EventEmitter(), {
        isTTY: { value: true },
        columns: { get: () => terminal.cols },
        rows: { get: () => terminal.rows },
        write: {
          writable: true,
          configurable: true,
          value(text: string) {
            terminal.write(text)
            return true
          },
        },
      }) as EmulatedStream
      streams.push(stream)
      return stream
    },
    resize(toColumns, toRows) {
      // What was written before is laid out in the old size.
      terminal.resize(toColumns, toRows)
      for (const stream of streams) stream.emit('resize')
    },
    async lines() {
      await written()
      const lines = all().map(line => line?.translateToString(true).trimEnd() ?? '')
      while (lines.at(-1) === '') lines.pop()
      return lines
    },
    async cursor() {
      await written()
      return { column: active.cursorX, line: active.baseY + active.cursorY }
    },
    async colourOf(text) {
      const lines = await this.lines()
      const index = lines.findIndex(line => line.includes(text))
      const cell = active.getLine(index)?.getCell(lines[index]?.indexOf(text) ?? 0)
      if (!cell) throw new Error(`'${text}' is not on the screen: ${lines.join('\n')}`)
      return cell.isFgDefault() ? -1 : cell.getFgColor()
    },
  }
}
