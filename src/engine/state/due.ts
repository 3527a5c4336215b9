/**
 * How far in the ledger objects are due, by the time of their commits. HEAD keeps it, so it is small: a mark stands for
 * all commits of a 32nd of the delay, so at most about 33 wait, and what is due is so much late at most.
 */
export interface Due {
  /** Entries up to this one are due. */
  readonly seq: number
  /** In order. Entries up to `seq` were committed by `toMs`, in ms since 1970. */
  readonly marks: readonly DueMark[]
}

export interface DueMark {
  readonly seq: number
  readonly fromMs: number
  readonly toMs: number
}

const marksPerDelay = 32

/** After a commit of entries up to `seq`. */
export function committedAt(due: Due | null, seq: number, nowMs: number, delayMs: number): Due {
  const { seq: before, marks } = dueBy(due, nowMs, delayMs)
  const last = marks.at(-1)
  if (seq <= (last?.seq ?? before)) return { seq: before, marks }
  const isSame = last !== undefined && nowMs - last.fromMs < delayMs / marksPerDelay
  const kept = isSame ? marks.slice(0, -1) : marks
  return { seq: before, marks: [...kept, { seq, fromMs: isSame ? last.fromMs : nowMs, toMs: nowMs }] }
}

/** What is due by now. A commit that seems to lie ahead, as the clock was put back, counts as one of now. */
export function dueBy(due: Due | null, nowMs: number, delayMs: number): Due {
  const { seq, marks } = due ?? { seq: 0, marks: [] }
  const seen = marks.map(mark => ({ ...mark, fromMs: Math.min(mark.fromMs, nowMs), toMs: Math.min(mark.toMs, nowMs) }))
  const waiting = seen.filter(mark => mark.toMs + delayMs > nowMs)
  const passed = seen[seen.length - waiting.length - 1]
  return { seq: passed?.seq ?? seq, marks: waiting }
}
