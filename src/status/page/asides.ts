import { fileURLToPath } from 'node:url'
import { shellWord } from '../../core/shell-word.ts'
import { visible } from '../../core/visible.ts'
import { type BadRow, badRowsQuery } from '../../engine/read/bad-row.ts'
import type { SetAside } from '../../engine/report/summary.ts'
import type { AsideFacts, TotalFacts } from './facts.ts'

/** Reasons that are told apart. */
const reasonsMax = 50
/** Of a reason that a reader or a server words. */
const reasonMax = 300

interface Reason {
  count: number
  readonly example: string
}

/** Why rows and objects were set aside, as far as this process, or a checkpoint, tells. */
export interface Asides {
  addBadRow(row: BadRow): void
  addObject(object: SetAside): void
  /** @param checkpoint where it lies @param totals null until they are known */
  facts(checkpoint: string, totals: TotalFacts | null): readonly AsideFacts[]
}

/** @param showsValues what was found in rows may be shown, as may all of what readers say of objects */
export function createAsides(showsValues: boolean, invocation: string): Asides {
  const badRows = new Map<string, Reason>()
  const objects = new Map<string, Reason>()
  return {
    addBadRow({ column, expected, found, object }) {
      const where = column === null ? 'the row is broken' : `column '${column}'`
      const value = showsValues && found !== null ? `, such as '${found}'` : ''
      count(badRows, `${where}: expected ${expected}`, object, value)
    },
    addObject({ key, reason }) {
      const general = reason.replaceAll(`'${key}'`, 'it').replaceAll(`"${key}"`, 'it')
      count(objects, showsValues ? general : withoutValues(general), key)
    },
    facts(checkpoint, totals) {
      const command = (...words: readonly string[]) =>
        [invocation, ...words.slice(0, 1), shellWord(plain(checkpoint)), ...words.slice(1).map(shellWord)].join(' ')
      const late = totals?.late ?? 0
      const bad = totals?.quarantinedRows ?? 0
      return [
        ...(late === 0 ? [] : [lateRows(late, command('sql', lateQuery))]),
        ...[...badRows].map(([reason, { example }]) => badRow(reason, null, example, command('sql', badRowsQuery))),
        ...(bad > 0 && badRows.size === 0
          ? [badRow('before this process began', bad, null, command('sql', badRowsQuery))]
          : []),
        ...[...objects].map(([reason, found]): AsideFacts => {
          const only = found.count === 1 ? [`--object=${found.example}`] : []
          return { what: 'objects', reason, ...found, command: command('retry', ...only) }
        }),
      ]
    },
  }
}

const lateQuery = 'FROM late LIMIT 20'

function lateRows(count: number, command: string): AsideFacts {
  return { what: 'late rows', reason: 'came after their window had closed', count, example: null, command }
}

function badRow(reason: string, count: number | null, example: string | null, command: string): AsideFacts {
  return { what: 'bad rows', reason, count, example, command }
}

function count(reasons: Map<string, Reason>, text: string, example: string, addition = ''): void {
  const reason = `${visible(text)}${visible(addition)}`.slice(0, reasonMax)
  const known = reasons.get(reason)
  if (known) known.count++
  else if (reasons.size < reasonsMax) reasons.set(reason, { count: 1, example })
}

/** What a reader says of an object may quote it: what stands before the first quotation or colon does not. */
function withoutValues(reason: string): string {
  const end = reason.search(/["'`:\n]/)
  return end < 0 ? reason : `${reason.slice(0, end).trimEnd()} …`
}

function plain(address: string): string {
  return address.startsWith('file://') ? fileURLToPath(address) : address
}
