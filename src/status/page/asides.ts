import { fileURLToPath } from 'node:url'
import { shellWord } from '../../core/shell-word.ts'
import { visible } from '../../core/visible.ts'
import { badRowsQuery } from '../../engine/read/bad-row.ts'
import type { BadRows, LateRows } from '../../engine/inspect/report.ts'
import type { SetAside } from '../../engine/report/summary.ts'
import type { AsideFacts, TotalFacts } from './facts.ts'

/** Reasons of one kind that are told apart. */
const reasonsMax = 50
/** Of a reason that a reader or a server words. */
const reasonMax = 300

type What = AsideFacts['what']

interface Reason {
  /** null where only the first of each epoch is known. */
  count: number | null
  readonly example: string | null
}

/** Why rows and objects were set aside, as far as this process, or a checkpoint, tells. */
export interface Asides {
  addLateRows(rows: LateRows): void
  /** @param rows null where it is not known @param found in the first of them */
  addBadRows(rows: Omit<BadRows, 'rows'> & { readonly rows: number | null; readonly found?: string | null }): void
  addObject(object: SetAside): void
  /** @param checkpoint where it lies @param totals null until they are known */
  facts(checkpoint: string, totals: TotalFacts | null): readonly AsideFacts[]
}

/** @param showsValues what was found in rows may be shown, as may all of what readers say of objects */
export function createAsides(showsValues: boolean, invocation: string): Asides {
  const known: Readonly<Record<What, Reasons>> = {
    'late rows': createReasons(),
    'bad rows': createReasons(),
    objects: createReasons(),
  }
  return {
    addLateRows: ({ reason, rows, object }) => known['late rows'].add(reason, rows, object),
    addBadRows({ column, expected, rows, object, found = null }) {
      const where = column === null ? 'the row is broken' : `column '${column}'`
      const value = showsValues && found !== null ? `, such as '${found}'` : ''
      known['bad rows'].add(`${where}: expected ${expected}`, rows, object, value)
    },
    addObject({ key, reason }) {
      const general = reason.replaceAll(`'${key}'`, 'it').replaceAll(`"${key}"`, 'it')
      known.objects.add(showsValues ? general : withoutValues(general), 1, key)
    },
    facts(checkpoint, totals) {
      const command = (name: string, ...words: readonly string[]) =>
        [invocation, name, ...[plain(checkpoint), ...words].map(shellWord)].join(' ')
      const sums = { 'late rows': totals?.late, 'bad rows': totals?.quarantinedRows, objects: totals?.setAside }
      const commands: Readonly<Record<What, (found: Reason) => string>> = {
        'late rows': () => command('sql', lateQuery),
        'bad rows': () => command('sql', badRowsQuery),
        objects: ({ count, example }) =>
          command('retry', ...(count === 1 && example !== null ? [`--object=${example}`] : [])),
      }
      return (Object.keys(known) as What[]).flatMap(what =>
        known[what].all(sums[what] ?? 0).map(([reason, found]): AsideFacts => {
          return { what, reason, ...found, command: commands[what](found) }
        }),
      )
    },
  }
}

const lateQuery =
  'SELECT step, _reason, min(key) AS object, count(*) AS n FROM late GROUP BY step, _reason ORDER BY n DESC'

interface Reasons {
  add(text: string, count: number | null, example: string, addition?: string): void
  /** @param sum of all that were set aside, those that nobody has added among them */
  all(sum: number): readonly (readonly [reason: string, Reason])[]
}

function createReasons(): Reasons {
  const reasons = new Map<string, Reason>()
  const others: Reason = { count: 0, example: null }
  return {
    add(text, count, example, addition = '') {
      const reason = `${visible(text)}${visible(addition)}`.slice(0, reasonMax)
      const found = reasons.get(reason) ?? (reasons.size < reasonsMax ? { count: 0, example } : others)
      if (found !== others) reasons.set(reason, found)
      found.count = found.count === null || count === null ? null : found.count + count
    },
    all(sum) {
      const counts = [...reasons.values(), others].map(({ count }) => count)
      const counted = counts.reduce((total: number, count) => total + (count ?? 0), 0)
      // Where some are not counted, what is left over is theirs.
      const before = counts.includes(null) ? 0 : Math.max(0, sum - counted)
      return [
        ...reasons,
        ...(others.count === 0 ? [] : [['other reasons', others] as const]),
        ...(before === 0 ? [] : [['before this process began', { count: before, example: null }] as const]),
      ]
    },
  }
}

/** What a reader says of an object may quote it: what stands before the first quotation or colon does not. */
function withoutValues(reason: string): string {
  const end = reason.search(/["'`:\n]/)
  return end < 0 ? reason : `${reason.slice(0, end).trimEnd()} …`
}

function plain(address: string): string {
  return address.startsWith('file://') ? fileURLToPath(address) : address
}
