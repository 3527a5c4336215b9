import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isSameVersion, type ObjectVersion } from '../../src/core/object-version.ts'
import { systemClock } from '../../src/core/clock.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { versionOf } from '../../src/engine/state/ledger.ts'
import { followWith } from '../../src/engine/follow.ts'
import { retryWith } from '../../src/engine/retry.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  inspect,
  json,
  MillraceError,
  pipeline,
  query,
  source,
  sqs,
  to,
  tumbling,
} from '../../src/index.ts'
import { componentsOf, createBucket, createMessages } from './bucket.ts'
import { type Lab, openLab, type Place, runs } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const objects = 's3://bucket/in/'
const archived = new MillraceError('user', 'object-archived', 'It is archived.')
const small = { threads: 1, memory: '300MB' } as const

const pipelineOf = (at: Place, overwrite: 'append' | 'quarantine') =>
  pipeline(
    'histories',
    { checkpoint: at.checkpoint },
    source('in', {
      objects,
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
      time: 't',
      watermark: { delay: '1 day' },
      miniBatch: { every: '1ms', objectsMax: 2 },
      reconcile: '15ms',
      notifications: sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' }),
      overwrite,
    }).pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(at.output, { format: 'json' }))),
  )

const keys = ['a.jsonl', 'b.jsonl'] as const
const key = fc.constantFrom(...keys)
/** Bytes come again, so a version may be what was there before. */
const body = fc.constantFrom('x', 'y').map(k => `{"t":"2024-05-01T01:15:00Z","k":"${k}"}\n`)

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), key, body, isTold: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('delete', 'hide', 'show', 'archive', 'thaw'), key }) },
  /** Some version that was there once, or one that never was. */
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('tell' as const), which: fc.nat(100), isForged: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('wait', 'wait', 'restart', 'kill', 'retry') }) },
)

interface Entry {
  readonly version: ObjectVersion
  readonly outcome: string
}

async function ledgerOf(at: Place): Promise<readonly Entry[]> {
  const { rows } = await query(at.checkpoint, `SELECT * FROM ledger WHERE "is" = 'object' ORDER BY seq`)
  return rows.map(row => ({ version: versionOf(row), outcome: String(row.outcome) }))
}

/** What becomes of versions, said plainly: each counts once, as what became of it last. */
function totalsOf(ledger: readonly Entry[]): Record<string, number> {
  const totals: Record<string, number> = { objects: 0, read: 0, quarantined: 0, skipped: 0, gone: 0 }
  for (const [index, { version, outcome }] of ledger.entries()) {
    const before = ledger.slice(0, index).findLast(other => isSameVersion(other.version, version))
    if (before) totals[before.outcome] = (totals[before.outcome] as number) - 1
    else totals.objects = (totals.objects as number) + 1
    totals[outcome] = (totals[outcome] as number) + 1
  }
  return totals
}

test('whatever is put, deleted, hidden, archived, announced, forged, listed and retried, in whatever order and through restarts: no version counts twice, and what is there at the end was read (P13, I4, I5, I11)', async () => {
  let lives = 0
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.constantFrom('append', 'quarantine'),
      fc.array(step, { minLength: 3, maxLength: 14 }),
      async (hasVersions, overwrite, steps) => {
        const at = lab.place(`life-${++lives}`)
        const bucket = createBucket(hasVersions ? 'kept' : 'refused')
        const messages = createMessages()
        const parts = componentsOf(bucket, messages)
        const told: Promise<void>[] = []
        const known: ObjectVersion[] = []
        let listings = 0

        /** One process; it ends at a restart, well or not. */
        async function live(own: readonly (typeof steps)[number][], isKilled: boolean): Promise<void> {
          const [drain, stop] = [new AbortController(), new AbortController()]
          let begin = () => {}
          const begun = new Promise<void>(resolve => (begin = resolve))
          const ended = followWith(parts, pipelineOf(at, overwrite), {
            ...small,
            drain: drain.signal,
            signal: stop.signal,
            onEvent: ({ is }) => {
              if (is === 'reconciled') listings++
              if (is === 'started') begin()
            },
          })
          const work = async () => {
            for (const one of own) await act(one)
            if (!isKilled) await Promise.all([begun, ...told])
          }
          await Promise.race([work(), ended])
          if (isKilled) stop.abort()
          else drain.abort()
          await ended.catch((error: unknown) => {
            if (!isKilled) throw error
          })
        }

        async function act(one: (typeof steps)[number]): Promise<void> {
          if (one.do === 'put') {
            const version = bucket.put(one.key, one.body)
            known.push(version)
            if (one.isTold) told.push(messages.tell(version))
          } else if (one.do === 'tell') {
            const version = known[one.which % known.length]
            if (version) told.push(messages.tell(one.isForged ? { ...version, versionId: 'forged' } : version))
          } else if (one.do === 'delete') bucket.delete(one.key)
          else if (one.do === 'hide') bucket.hidden.add(one.key)
          else if (one.do === 'show') bucket.hidden.delete(one.key)
          else if (one.do === 'archive') bucket.failing.set(one.key, archived)
          else if (one.do === 'thaw') bucket.failing.delete(one.key)
          else if (one.do === 'wait') for (const until = listings + 2; listings < until; ) await systemClock.sleep(2)
        }

        let own: (typeof steps)[number][] = []
        for (const one of steps) {
          own.push(one)
          if (one.do !== 'restart' && one.do !== 'kill' && one.do !== 'retry') continue
          await live(own, one.do === 'kill')
          if (one.do === 'retry') await retryWith(parts, at.checkpoint, {})
          own = []
        }
        await live(own, false)
        bucket.hidden.clear()
        bucket.failing.clear()
        const backfill = () => backfillWith(parts, pipelineOf(at, overwrite), { ...small, flush: false })
        let { totals } = await backfill()
        // Of several versions of an object the last one is put back each time.
        for (let round = 0; round < 4; round++) {
          const aside = new Set((await inspect(at.checkpoint)).setAside.map(({ key }) => key))
          if (aside.size === 0) break
          await retryWith(parts, at.checkpoint, { objects: [...aside] })
          totals = (await backfill()).totals
        }

        const ledger = await ledgerOf(at)
        const read = ledger.filter(({ outcome }) => outcome === 'read').map(({ version }) => version)
        for (const [index, version] of read.entries())
          expect(read.findIndex(other => isSameVersion(other, version))).toBe(index)
        expect(totals.rows).toBe(read.length)
        for await (const there of bucket.store.list('')) {
          const counts = (version: ObjectVersion) =>
            overwrite === 'append' ? isSameVersion(version, there) : version.key === there.key
          expect(read.some(counts), `${there.key} ${there.eTag}`).toBe(true)
        }
        if (overwrite === 'quarantine') expect(new Set(read.map(version => version.key)).size).toBe(read.length)
        const { read: _, ...expected } = totalsOf(ledger)
        expect(totals).toMatchObject(expected)
        const { setAside } = await inspect(at.checkpoint)
        for (const aside of setAside) expect(aside.reason).not.toBe('')

        // A replay comes to the same, where what was read is still there.
        for (const { key, eTag, versionId } of read) {
          const named = { ifMatch: eTag, ...(versionId === undefined ? {} : { versionId }) }
          if (typeof (await bucket.store.get(key, named)) === 'string') return
        }
        const again = lab.place(`replay-${lives}`)
        const replayed = await backfillWith(parts, pipelineOf(again, overwrite), { ...small, ledger: at.checkpoint })
        expect(await ledgerOf(again)).toEqual(ledger)
        expect({ ...replayed.totals, epochs: 0 }).toEqual({ ...totals, epochs: 0 })
      },
    ),
    runs(10),
  )
}, 600_000)
