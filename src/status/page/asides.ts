import { fileURLToPath } from 'node:url'
import { shellWord } from '../../core/shell-word.ts'
import { visible } from '../../core/visible.ts'
import { type BadRow, type BadRows, badRowsQuery } from '../../engine/read/bad-row.ts'
import type { LateRows } from '../../engine/report/events.ts'
import type { SetAside } from '../../engine/report/summary.ts'
import type { AsideFacts, TotalFacts } from './facts.ts'

/** Reasons of one kind that are told apart. */
const reasonsMax = 50
/** Of a reason that a reader or a server words. */
const reasonMax = 300

type What = AsideFacts['what']

interface Reason {
  /** As it is shown. */
  reason: string
  count: number
  readonly example: string | null
}

/** Why rows and objects were set aside, as far as this process, or a checkpoint, tells. */
export interface Asides {
  addLateRows(rows: LateRows): void
  addBadRows(rows: BadRows): void
  /** An example of bad rows, by what it holds, where values may be shown. It counts for nothing. */
  addExample(row: BadRow): void
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
    addBadRows: found => known['bad rows'].add(badRowReason(found), found.rows, found.object),
    addExample(found) {
      if (showsValues && found.found !== null) known['bad rows'].suchAs(badRowReason(found), found.found)
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
        known[what].all(sums[what] ?? 0).map((found): AsideFacts => {
          const { reason, count, example } = found
          return { what, reason, count, example, command: commands[what](found) }
        }),
      )
    },
  }
}

const lateQuery =
  'SELECT step, _reason, min(key) AS object, count(*) AS n FROM late GROUP BY step, _reason ORDER BY n DESC'

function badRowReason({ column, expected }: Pick<BadRow, 'column' | 'expected'>): string {
  return `${column === null ? 'the row is broken' : `column '${column}'`}: expected ${expected}`
}

interface Reasons {
  add(reason: string, count: number, example: string | null): void
  /** What is found in one of them. */
  suchAs(reason: string, value: string): void
  /** @param sum of all that were set aside, those that nobody has added among them */
  all(sum: number): readonly Reason[]
}

function createReasons(): Reasons {
  const reasons = new Map<string, Reason>()
  const others: Reason = { reason: 'other reasons', count: 0, example: null }
  return {
    add(given, count, example) {
      const reason = shown(given)
      const found = reasons.get(reason) ?? (reasons.size < reasonsMax ? { reason, count: 0, example } : others)
      if (found !== others) reasons.set(reason, found)
      found.count += count
    },
    suchAs(given, value) {
      const found = reasons.get(shown(given))
      if (found?.reason === shown(given)) found.reason = shown(`${given}, such as '${value}'`)
    },
    all(sum) {
      const counted = [...reasons.values(), others]
      const rest = sum - counted.reduce((total, { count }) => total + count, 0)
      const before: Reason = { reason: notTold, count: Math.max(0, rest), example: null }
      return [...counted, before].filter(({ count }) => count > 0)
    },
  }
}

/** An event names a hundred objects. */
const notTold = 'not told apart: before this process began, or too many at once'

const shown = (reason: string): string => visible(reason).slice(0, reasonMax)

/** What a reader says of an object may quote it: what stands before the first quotation or colon does not. */
function withoutValues(reason: string): string {
  const end = reason.search(/["'`:\n]/)
  return end < 0 ? reason : `${reason.slice(0, end).trimEnd()} …`
}

function plain(address: string): string {
  return address.startsWith('file://') ? fileURLToPath(address) : address
}
