import type { WindowFunction } from '../windows/window-function.ts'
import type { Rows } from '../rows.ts'
import type { Scope } from './scope.ts'

/** What a SELECT goes on from. */
export interface Input {
  readonly rows: Rows
  readonly scope: Scope
  /** The window around the rows: it is made when they are grouped, behind WHERE and joins with lookups. */
  readonly window?: OpenWindow
  /** The columns are those of several relations, so that * says less than it seems. */
  readonly isJoined?: true
}

export interface OpenWindow {
  readonly function: WindowFunction
  readonly at: number
  /** Two windows are one where their arguments are. */
  readonly arguments: Readonly<Record<string, string>>
}
