import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isMillraceError, MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore, WrittenFile } from '../../src/core/ports.ts'
import type { CommittedOutput, EpochOutput, SinkPort, StagedOutput } from '../../src/core/sink-port.ts'
import type { SinkRows } from '../../src/plan/sink.ts'
import { parquetRows } from '../../src/plan/sql.ts'
import type { SessionExecutor } from '../../src/engine/duckdb/executor.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import { wholeFromEnvironment } from '../golden/drawn.ts'

/** Each call of a process to the target of its sink. */
export type Calls = <T>(call: () => Promise<T>) => Promise<T>

/** Rows of one epoch, as anybody sees them in the target. */
export interface VisibleEpoch {
  readonly epoch: number
  /** By value of their one column, `k`. */
  readonly rows: readonly string[]
}

/** One target, fresh. */
export interface SinkLab {
  /** Its sink, as a process opens it. */
  open(checkpointId: string, calls: Calls): Promise<SinkPort>
  /** In the order in which the target has them. */
  visible(): Promise<readonly VisibleEpoch[]>
  /** Names of what is staged there and not visible. */
  staged(): Promise<readonly string[]>
  /** Everything that lies there, by any name: nothing before it is used. */
  traces(): Promise<readonly string[]>
  close(): Promise<void>
}

export interface SinkFacts {
  /** The target says itself which epochs it has: each row is there once. Else an epoch may come again. */
  readonly tells: boolean
  /** The target knows whose it is. */
  readonly isOwned: boolean
  /** The target refuses a lower term. */
  readonly fences: boolean
  /** How its rows, of one column `k`, lie in local files. Default: as Parquet. */
  readonly rows?: SinkRows
}

/** Rows that DuckDB makes and reads, for labs. */
export interface SinkRowsLab {
  readonly executor: SessionExecutor
  /** A folder that DuckDB may read. */
  readonly folder: string
  /** The values of `k` of a Parquet file here, in order. */
  read(file: string): Promise<readonly string[]>
}

/** A store whose calls go through those of a process. */
export function storeThrough(store: ObjectStore, calls: Calls): ObjectStore {
  return {
    ...store,
    get: (...args) => calls(() => store.get(...args)),
    put: (...args) => calls(() => store.put(...args)),
    copy: (...args) => calls(() => store.copy(...args)),
    delete: keys => calls(() => store.delete(keys)),
    async *list(...args) {
      await calls(async () => {})
      yield* store.list(...args)
    },
  }
}

class Killed extends Error {}

/** A process whose nth call to the target is its last one; that one is made or not. */
function mortal(killAt = Number.POSITIVE_INFINITY, isMade = false) {
  let count = 0
  const calls: Calls = async call => {
    count++
    if (count > killAt || (count === killAt && !isMade)) throw new Killed()
    const result = await call()
    if (count >= killAt) throw new Killed()
    return result
  }
  return { calls, count: () => count }
}

/** From the nth call on the target refuses, that one made or not, until it is told to serve again. */
function refusing(from: number, isMade: boolean, error: MillraceError) {
  let count = 0
  let isOver = false
  const calls: Calls = async call => {
    count++
    if (isOver || count < from) return call()
    if (count === from && isMade) await call()
    throw error
  }
  return { calls, serveAgain: () => void (isOver = true) }
}

/** What a target says when it is away, when a permission was taken away, and when its disk is full. */
const refusals = [
  new MillraceError('retry', 'store-unavailable', 'The target is away.'),
  new MillraceError('user', 'access-denied', 'The policy of the target was changed.'),
  new MillraceError('fatal', 'file-system', 'ENOSPC: no space left on device'),
] as const

/** What a checkpoint keeps of a sink: as much of HEAD as a sink needs. */
interface Head {
  term: number
  epoch: number
  unpublished: readonly Waiting[]
  garbage: readonly string[]
}
type Waiting = Pick<CommittedOutput, 'epoch' | 'operation' | 'receipt' | 'files'> & {
  readonly local: readonly string[]
}

/** Where a process may die besides: between its steps. */
const steps = ['staged', 'committed', 'published', 'recorded'] as const
type Step = (typeof steps)[number]

const epochs = 3
/**
 * Refusals begin at each so many-th call. MILLRACE_STRIDE=1 tries all, a kill both before and after each call, and each
 * step of each epoch.
 */
const refusalStride = wholeFromEnvironment('MILLRACE_STRIDE', 4)
/** What the target holds after a call it holds before the next one: here kills take turns. */
const killMoments = (killAt: number) => (refusalStride === 1 ? [false, true] : [killAt % 2 === 0])
const checkpointId = 'checkpoint-a'
const never = new AbortController().signal

/**
 * What every sink must pass.
 *
 * @param create a fresh target
 */
export function describeSink(name: string, facts: SinkFacts, create: (rows: SinkRowsLab) => Promise<SinkLab>): void {
  describe(`sink contract: ${name}`, () => {
    let session: Session
    let executor: SessionExecutor
    const written = new Map<number, WrittenFile>()
    let rowsLab: SinkRowsLab
    beforeAll(async () => {
      session = await openSession({ threads: 1, memory: '200MB' })
      executor = await session.executor(never)
      // The second epoch is too large to ride in HEAD.
      for (let epoch = 1; epoch <= epochs + 1; epoch++)
        written.set(epoch, await writeEpoch(executor, epoch, join(session.stage, `epoch-${epoch}`), facts.rows))
      rowsLab = {
        executor,
        folder: session.stage,
        async read(file) {
          const found = await executor.rows(`SELECT k FROM ${parquetRows([file])} ORDER BY k`)
          return found.map(({ k }) => String(k))
        },
      }
    })
    afterAll(() => session?.close())

    async function withLab(work: (lab: SinkLab) => Promise<void>): Promise<void> {
      const lab = await create(rowsLab)
      try {
        await work(lab)
      } finally {
        await lab.close()
      }
    }

    const fileOf = (epoch: number) => written.get(epoch) as WrittenFile
    const outputOf = (epoch: number, term: number): EpochOutput => ({
      term,
      epoch,
      operation: 'append',
      files: [fileOf(epoch)],
      inlineBytesMax: 48 * 1024,
    })
    async function stage(sink: SinkPort, epoch: number, term: number): Promise<Waiting> {
      const { file, ...content } = fileOf(epoch)
      const kept: StagedOutput = { receipt: null, files: [{ name: `deliveries/${epoch}`, ...content }], names: [] }
      const { receipt, files } = (await sink.stage?.(outputOf(epoch, term))) ?? kept
      // HEAD is JSON.
      const stored = JSON.parse(JSON.stringify({ receipt, files })) as Pick<Waiting, 'receipt' | 'files'>
      return { epoch, operation: 'append', ...stored, local: sink.stage ? [] : [file] }
    }
    const publish = (sink: SinkPort, waiting: Waiting, term: number) => {
      const rows = () => executor.stream(`SELECT * FROM ${parquetRows(waiting.local)}`)
      return sink.publish({ ...waiting, term, rows }, never)
    }

    /** A process from its claim to the last epoch: what the engine does, as far as a sink sees it. */
    async function live(
      lab: SinkLab,
      head: Head,
      calls: Calls,
      at: (step: Step, epoch: number) => void = () => {},
      again: (thrown: unknown) => boolean = () => false,
    ) {
      const term = ++head.term
      const sink = await lab.open(checkpointId, calls)
      await sink.own(head.epoch === 0, term)
      const through = await sink.through(head.epoch)
      expect(through ?? 0).toBeLessThanOrEqual(head.epoch)
      const named = new Set(head.unpublished.flatMap(({ files }) => files.map(file => file.name)))
      await sink.orphans(term, file => named.has(file) || head.garbage.includes(file))
      const finish = async (waiting: Waiting) => {
        await publish(sink, waiting, term).catch((thrown: unknown) => {
          if (!again(thrown)) throw thrown
          return publish(sink, waiting, term)
        })
        at('published', waiting.epoch)
        head.unpublished = head.unpublished.filter(other => other !== waiting)
        head.garbage = [...head.garbage, ...waiting.files.filter(f => f.inline === undefined).map(f => f.name)]
        at('recorded', waiting.epoch)
        await sink.discard?.(head.garbage)
        head.garbage = []
      }
      for (const waiting of head.unpublished) await finish(waiting)
      while (head.epoch < epochs) {
        const epoch = head.epoch + 1
        const waiting = await stage(sink, epoch, term)
        at('staged', epoch)
        head.epoch = epoch
        head.unpublished = [...head.unpublished, waiting]
        at('committed', epoch)
        await finish(waiting)
      }
    }

    const newHead = (): Head => ({ term: 0, epoch: 0, unpublished: [], garbage: [] })

    /** Each row once; or, of a target that cannot tell, each epoch whole, in order, again where it came again. */
    async function expectAll(lab: SinkLab, where: string): Promise<void> {
      const seen = await lab.visible()
      const expected = Array.from({ length: epochs }, (_, i) => ({ epoch: i + 1, rows: rowsOf(i + 1) }))
      if (facts.tells) expect(seen, where).toEqual(expected)
      else {
        for (const [index, { epoch, rows }] of seen.entries()) {
          expect(rows, where).toEqual(rowsOf(epoch))
          expect(epoch - (seen[index - 1]?.epoch ?? 0), where).toBeLessThanOrEqual(1)
        }
        expect([...new Set(seen.map(({ epoch }) => epoch))], where).toEqual([1, 2, 3])
      }
      expect(await lab.staged(), where).toEqual([])
    }

    // Where the target is nobody's, there is nothing to refuse.
    const itOwned: (name: string, test: () => Promise<void>) => void = facts.isOwned ? test : () => {}

    test('publishes what is staged, once it is told to, and says how far it is', () =>
      withLab(async lab => {
        const sink = await lab.open(checkpointId, call => call())
        await sink.own(true, 1)
        const first = await stage(sink, 1, 1)
        expect(await lab.visible()).toEqual([])
        expect(await publish(sink, first, 1)).toBe('published')
        expect(await lab.visible()).toEqual([{ epoch: 1, rows: rowsOf(1) }])
        if (!facts.tells) {
          expect(await sink.through(0)).toBeUndefined()
          return
        }
        // Told again, by this process or by one that has read HEAD anew, it changes nothing.
        await publish(sink, first, 1)
        const next = await lab.open(checkpointId, call => call())
        await next.own(false, 2)
        await publish(next, first, 2)
        expect(await lab.visible()).toEqual([{ epoch: 1, rows: rowsOf(1) }])
        expect(await next.through(0)).toBe(1)
        await publish(next, await stage(next, 3, 2), 2)
        expect(await next.through(1)).toBe(3)
      }))

    test('is killed at any call to its target, and the next process finishes: each row is there once (I8, I10)', async () => {
      const straight = mortal()
      await withLab(async lab => {
        await live(lab, newHead(), straight.calls)
        await expectAll(lab, 'straight')
      })
      expect(straight.count()).toBeGreaterThanOrEqual(epochs)
      for (let killAt = 1; killAt <= straight.count(); killAt++)
        for (const isMade of killMoments(killAt))
          await withLab(async lab => {
            const where = `killed ${isMade ? 'after' : 'before'} call ${killAt} of ${straight.count()}`
            const head = newHead()
            await expect(live(lab, head, mortal(killAt, isMade).calls), where).rejects.toThrow(Killed)
            for (const { epoch, rows } of await lab.visible()) {
              // Nothing is visible before its commit, nor in part.
              expect(epoch, where).toBeLessThanOrEqual(head.epoch)
              expect(rows, where).toEqual(rowsOf(epoch))
            }
            await live(lab, head, mortal().calls)
            await expectAll(lab, where)
          })
    }, 300_000)

    test('whose target refuses from any call on says so, and each row is there once when it serves again', async () => {
      const straight = mortal()
      await withLab(lab => live(lab, newHead(), straight.calls))
      for (let from = 1; from <= straight.count(); from += refusalStride)
        await withLab(async lab => {
          const error = refusals[Math.floor(from / refusalStride) % refusals.length] as MillraceError
          const isMade = from % 2 === 0
          const where = `${error.code} from call ${from} of ${straight.count()} on, which was ${isMade ? '' : 'not '}made`
          const head = newHead()
          const { calls, serveAgain } = refusing(from, isMade, error)
          const said: unknown[] = []
          // What may succeed later is done again by the process itself, all else by the next one.
          const again = (thrown: unknown) => {
            said.push(thrown)
            serveAgain()
            return isMillraceError(thrown) && thrown.kind === 'retry' && error.kind === 'retry'
          }
          await live(lab, head, calls, () => {}, again).catch((thrown: unknown) => said.push(thrown))
          expect(said.length, where).toBeGreaterThan(0)
          for (const thrown of said) expect(thrown, where).toMatchObject({ kind: error.kind })
          for (const { epoch, rows } of await lab.visible()) {
            expect(epoch, where).toBeLessThanOrEqual(head.epoch)
            expect(rows, where).toEqual(rowsOf(epoch))
          }
          await live(lab, head, mortal().calls)
          await expectAll(lab, where)
        })
    }, 300_000)

    test('is killed between any two steps, and then once more: each row is there once (I8, I10)', async () => {
      const moments = steps
        .flatMap((step, nth) =>
          Array.from({ length: epochs }, (_, i) => ({ step, epoch: i + 1, isTurn: i === nth % epochs })),
        )
        .filter(({ isTurn }) => isTurn || refusalStride === 1)
      for (const { step, epoch } of moments)
        await withLab(async lab => {
          const where = `killed when epoch ${epoch} was ${step}`
          const head = newHead()
          const die = (reached: Step, of: number) => {
            if (reached === step && of === epoch) throw new Killed()
          }
          for (const life of [1, 2])
            await live(lab, head, mortal().calls, die).catch((error: unknown) => {
              if (!(error instanceof Killed)) throw new Error(`${where}, life ${life}`, { cause: error })
            })
          await live(lab, head, mortal().calls)
          await expectAll(lab, where)
        })
    }, 300_000)

    test('says `retry` while its target is away, and publishes when that is back', () =>
      withLab(async lab => {
        let isAway = false
        const calls: Calls = call =>
          isAway ? Promise.reject(new MillraceError('retry', 'simulated', 'The target is away.')) : call()
        const sink = await lab.open(checkpointId, calls)
        await sink.own(true, 1)
        const waiting = [await stage(sink, 1, 1), await stage(sink, 2, 1)]
        isAway = true
        for (let i = 0; i < 3; i++)
          await expect(publish(sink, waiting[0] as Waiting, 1)).rejects.toMatchObject({ kind: 'retry' })
        expect(await lab.visible()).toEqual([])
        isAway = false
        for (const epoch of waiting) await publish(sink, epoch, 1)
        expect((await lab.visible()).map(({ epoch }) => epoch)).toEqual([1, 2])
      }))

    itOwned('is refused a target of another checkpoint, and one that is gone, and leaves both alone', () =>
      withLab(async lab => {
        const sink = await lab.open('checkpoint-b', call => call())
        for (const act of [() => sink.check(false), () => sink.own(false, 1)])
          await expect(act()).rejects.toMatchObject({ kind: 'user', code: 'output-missing' })
        await sink.check(true)
        expect(await lab.traces()).toEqual([])
        await live(lab, newHead(), mortal().calls)
        const before = await lab.traces()
        for (const isNew of [true, false])
          for (const act of [() => sink.check(isNew), () => sink.own(isNew, 9)])
            await expect(act()).rejects.toMatchObject({ kind: 'user', code: 'output-owned' })
        expect(await lab.traces()).toEqual(before)
        await expectAll(lab, 'afterwards')
      }),
    )

    test('of an older term changes nothing: what it has staged goes, what was committed is published once (I3)', () =>
      withLab(async lab => {
        const older = await lab.open(checkpointId, call => call())
        await older.own(true, 1)
        const committed = await stage(older, 1, 1)
        // Staged and not committed: another process claims now.
        const staged = await stage(older, 2, 1)
        const newer = await lab.open(checkpointId, call => call())
        await newer.own(false, 2)
        const isNamed = (file: string) => committed.files.some(({ name }) => name === file)
        const orphans = staged.files.filter(({ inline }) => newer.stage && inline === undefined)
        expect(await newer.orphans(2, isNamed)).toBe(orphans.length)
        await publish(newer, committed, 2)
        const rest = await stage(newer, 2, 2)
        await publish(newer, rest, 2)
        const seen = await lab.visible()
        if (facts.fences) await expect(publish(older, committed, 1)).rejects.toMatchObject({ kind: 'fenced' })
        else await publish(older, committed, 1)
        if (facts.tells) expect(await lab.visible()).toEqual(seen)
        if (facts.fences) await expect(older.own(false, 1)).rejects.toMatchObject({ kind: 'fenced' })
      }))
  })
}

function writeEpoch(
  executor: SessionExecutor,
  epoch: number,
  file: string,
  { items, form }: SinkRows = { items: '*', form: { format: 'parquet' } },
): Promise<WrittenFile> {
  return executor.write(`SELECT ${items} FROM (${epochSql(epoch)})`, file, ['k'], form)
}

function epochSql(epoch: number): string {
  const count = epoch === 2 ? 1_500 : 3
  return `SELECT printf('%d %05d ', ${epoch}, i) || md5(concat(${epoch}, i)) AS k FROM range(${count}) AS r(i)`
}

/** The same rows, made without DuckDB's file of them. */
const known = new Map<number, readonly string[]>()
function rowsOf(epoch: number): readonly string[] {
  const rows = known.get(epoch) ?? makeRows(epoch)
  known.set(epoch, rows)
  return rows
}

function makeRows(epoch: number): readonly string[] {
  const count = epoch === 2 ? 1_500 : 3
  return Array.from({ length: count }, (_, i) => `${epoch} ${String(i).padStart(5, '0')} ${md5(`${epoch}${i}`)}`)
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
