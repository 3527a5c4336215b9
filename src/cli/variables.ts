import type { Piece } from './live-lines.ts'
import type { Terminal } from './terminal.ts'

/** What variables of the environment hold that a pipeline of SQL has put in: value to name. For the whole process. */
const variables = new Map<string, string>()

export function rememberVariable(name: string, value: string): void {
  // A shorter one would take pieces out of words, and is no secret.
  if (value.length >= 4) variables.set(value, name)
}

/** A terminal that shows the names of such variables, and never what they hold. */
export function withoutVariables(terminal: Terminal): Terminal {
  const shown = (text: string) =>
    [...variables]
      .toSorted(([a], [b]) => b.length - a.length)
      .reduce((left, [value, name]) => left.replaceAll(value, `\${${name}}`), text)
  return {
    get interactive() {
      return terminal.interactive
    },
    live: terminal.live && {
      show: draw =>
        terminal.live?.show(columns => draw(columns).map(line => line.map(piece => shownPiece(piece, shown)))),
      hide: terminal.live.hide,
    },
    get columns() {
      return terminal.columns
    },
    out: text => terminal.out(shown(text)),
    err: text => terminal.err(shown(text)),
    nowMs: () => terminal.nowMs(),
  }
}

function shownPiece(piece: Piece, shown: (text: string) => string): Piece {
  return typeof piece === 'string' ? shown(piece) : { ...piece, text: shown(piece.text) }
}
