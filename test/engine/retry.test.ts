import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import type { Head } from '../../checkpoints/types.ts'
import { attemptOf, carefulAfter, withAttempt } from '../../src/engine/intake/attempt.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import { retryOf, type Attempt } from '../../src/engine/state/engine-state.ts'
import { retryWith } from '../../src/engine/retry.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { type BackfillOptions, inspect, MillraceError, query, type Summary, verify } from '../../src/index.ts'
import { type Bucket, componentsOf, createBucket, createMessages, hourly, line, queue } from './bucket.ts'
import { failure, type Lab, openLab, type Place } from './harness.ts'

let lab: Lab
let bucket: Bucket
beforeEach(async () => {
  lab = await openLab()
  bucket = createBucket()
})
afterEach(() => lab[Symbol.asyncDispose]())

const objects = 's3://bucket/in/'
const small = { threads: 1, memory: '300MB', flush: false } as const
const archived = (key: string) =>
  new MillraceError('user', 'object-archived', `Reading s3://bucket/in/${key} failed: it is archived.`)

type Options = Parameters<typeof hourly>[2]
const backfill = (at: Place, options: BackfillOptions = {}, source: Options = {}): Promise<Summary> =>
  backfillWith(componentsOf(bucket), hourly(objects, at, source), { ...small, ...options })
const retry = (at: Place, ...keys: readonly string[]) =>
  retryWith(components, at.checkpoint, keys.length > 0 ? { objects: keys } : {})

/** Key and outcome of the ledger's objects, in order. */
async function outcomes(at: Place): Promise<string[]> {
  const { rows } = await query(at.checkpoint, `SELECT key, outcome FROM ledger WHERE "is" = 'object' ORDER BY seq`)
  return rows.map(row => `${String(row.key)} ${String(row.outcome)}`)
}

/** These keys are archived while the others are read. */
async function withArchived(
  at: Place,
  keys: readonly string[],
  others: readonly string[] = ['z.jsonl'],
): Promise<void> {
  for (const [hour, key] of [...keys, ...others].entries()) bucket.put(key, line(key, hour))
  for (const key of keys) bucket.failing.set(key, archived(key))
  await backfill(at)
  bucket.failing.clear()
}

async function expectReplays(at: Place, source: Options = {}): Promise<void> {
  const again = lab.place('replay')
  const { totals } = await backfill(again, { ledger: at.checkpoint, objectsPerEpoch: 1 }, source)
  const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row)).toSorted()
  expect(sorted(await lab.rows(again))).toEqual(sorted(await lab.rows(at)))
  expect(sorted(await lab.channels('late-', again))).toEqual(sorted(await lab.channels('late-', at)))
  expect(await outcomes(again)).toEqual(await outcomes(at))
  expect({ ...totals, epochs: 0 }).toEqual({ ...(await inspect(at.checkpoint)).totals, epochs: 0 })
}

describe('what is put back', () => {
  test('counts in the next run, before anything new, with a place, mark and lateness of its own (S1, I5, I11)', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl', 'b.jsonl'])
    expect((await inspect(at.checkpoint)).totals).toMatchObject({ objects: 3, rows: 1, quarantined: 2 })
    const retried = await retry(at)
    expect(retried).toMatchObject({ pipeline: 'hourly', count: 2 })
    expect(retried.objects).toEqual(
      ['a.jsonl', 'b.jsonl'].map((key, index) => ({
        key,
        outcome: 'quarantined',
        reason: expect.stringContaining('archived') as string,
        seq: index + 1,
      })),
    )
    expect((await inspect(at.checkpoint)).retried).toBe(2)
    bucket.put('0.jsonl', line('new', 9))
    const summary = await backfill(at, { flush: true })
    expect(summary.totals).toMatchObject({ objects: 4, rows: 4, quarantined: 0 })
    expect(await outcomes(at)).toEqual([
      'a.jsonl quarantined',
      'b.jsonl quarantined',
      'z.jsonl read',
      'a.jsonl read',
      'b.jsonl read',
      '0.jsonl read',
    ])
    // The watermark before z is none, and after it 01:15: by that a's window has closed, and b's has not.
    expect(summary.totals.late).toBe(1)
    expect(await lab.channels('late-', at)).toMatchObject([{ _object: 'a.jsonl', _seq: '4' }])
    expect(await inspect(at.checkpoint)).toMatchObject({ retried: 0, setAside: [] })
    expect((await backfill(at)).nothingToDo).toBe(true)
    await expectReplays(at)
    expect(await verify(hourly(objects, at), { threads: 1 }, componentsOf(bucket))).toMatchObject({
      differences: [],
      gone: [],
      changed: [],
    })
  })

  test('are those that are named, or all; a further request joins the one that waits', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl', 'b.jsonl', 'c.jsonl'])
    expect((await retry(at, 'b.jsonl')).count).toBe(1)
    const joined = await retry(at, 'a.jsonl', 'b.jsonl', 'a.jsonl')
    expect(joined.objects.map(({ key }) => key)).toEqual(['a.jsonl', 'b.jsonl'])
    await backfill(at)
    expect((await outcomes(at)).slice(4)).toEqual(['a.jsonl read', 'b.jsonl read'])
    expect((await retry(at)).objects.map(({ key }) => key)).toEqual(['c.jsonl'])
    await backfill(at)
    expect((await outcomes(at)).slice(6)).toEqual(['c.jsonl read'])
    // Nothing is left, so nothing is claimed.
    const { term } = await lab.head(at)
    expect((await retry(at)).count).toBe(0)
    expect((await lab.head(at)).term).toBe(term)
  })

  test('are tried as often as it is asked for: what still cannot be read is set aside once more', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl'])
    for (let tries = 1; tries <= 2; tries++) {
      bucket.failing.set('a.jsonl', archived('a.jsonl'))
      expect((await retry(at)).count).toBe(1)
      const summary = await backfill(at)
      expect(summary.totals).toMatchObject({ objects: 2, quarantined: 1 })
      expect(summary.run).toMatchObject({ objects: 1 })
      // It is not tried again by itself.
      expect((await backfill(at)).nothingToDo).toBe(true)
      expect((await inspect(at.checkpoint)).setAside).toHaveLength(1)
    }
    bucket.failing.clear()
    await retry(at)
    await backfill(at)
    expect((await outcomes(at)).filter(entry => entry.startsWith('a'))).toEqual([
      'a.jsonl quarantined',
      'a.jsonl quarantined',
      'a.jsonl quarantined',
      'a.jsonl read',
    ])
    await expectReplays(at)
  })

  test('says so where it is gone, and from then on counts when it is found (P13)', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl'])
    bucket.delete('a.jsonl')
    await retry(at)
    const summary = await backfill(at)
    expect(summary.run.setAside).toEqual([{ key: 'a.jsonl', reason: 'the object is gone' }])
    expect(summary.totals).toMatchObject({ objects: 2, quarantined: 0, gone: 1 })
    bucket.put('a.jsonl', line('a.jsonl', 0))
    expect((await backfill(at)).totals).toMatchObject({ objects: 2, rows: 2, gone: 0 })
  })

  test('what only a message has told of is read by the size that the store tells', async () => {
    const at = lab.place('a')
    const messages = createMessages()
    const parts = componentsOf(bucket, messages)
    const followed = hourly(objects, at, { notifications: queue, reconcile: false })
    const version = bucket.put('a.jsonl', line('a'))
    bucket.delete('a.jsonl')
    const drain = new AbortController()
    const ended = followWith(parts, followed, { threads: 1, memory: '300MB', drain: drain.signal })
    await Promise.race([messages.tell(version), ended])
    drain.abort()
    await ended
    expect(await outcomes(at)).toEqual(['a.jsonl gone'])
    expect((await retry(at)).objects).toMatchObject([{ key: 'a.jsonl', outcome: 'gone' }])
    bucket.put('a.jsonl', line('a'))
    expect((await backfillWith(parts, followed, small)).totals).toMatchObject({ objects: 1, rows: 1, gone: 0 })
  })

  test('what was skipped on purpose, and what came over a version that counts, is read by name only', async () => {
    const at = lab.place('a')
    bucket.put('a.jsonl', line('a'))
    bucket.put('s.jsonl', 'no such thing')
    bucket.failing.set('s.jsonl', archived('s.jsonl'))
    await backfill(at, {}, { onBadObject: 'skip' })
    bucket.put('a.jsonl', line('other'))
    await backfill(at)
    expect(await outcomes(at)).toEqual(['a.jsonl read', 's.jsonl skipped', 'a.jsonl quarantined'])
    expect((await retry(at)).count).toBe(0)
    expect((await retry(at, 's.jsonl', 'a.jsonl')).count).toBe(2)
    bucket.failing.clear()
    bucket.put('s.jsonl', line('s'))
    const summary = await backfill(at, {}, { overwrite: 'append' })
    // The skipped one was that other content, which is gone; what lies there now is new.
    expect((await outcomes(at)).slice(3)).toEqual(['s.jsonl gone', 'a.jsonl read', 's.jsonl read'])
    expect(summary.totals).toMatchObject({ objects: 4, rows: 3, quarantined: 0, skipped: 0, gone: 1 })
    // Each version counts once, also when it is asked for.
    expect((await failure(retry(at, 'a.jsonl'))).message).toContain('its rows were counted in epoch')
  })

  test('of which another version lies there overwrites nothing, and the listing after it sees what became of it', async () => {
    const at = lab.place('a')
    bucket = createBucket('kept')
    await withArchived(at, ['a.jsonl'])
    const first = bucket.put('a.jsonl', line('newer', 5))
    await retry(at)
    await backfill(at)
    // The listing named the version no more, so it was gone when it was asked for, and the new one overwrites nothing.
    expect((await outcomes(at)).slice(2)).toEqual(['a.jsonl gone', 'a.jsonl read'])
    expect(first.versionId).toBeDefined()
    await expectReplays(at)
  })

  test('whose key the source would pass over now is skipped, and the request is done', async () => {
    const at = lab.place('a')
    bucket.put('_tmp/a.jsonl', line('a'))
    bucket.put('b.jsonl', line('b'))
    bucket.failing.set('_tmp/a.jsonl', archived('_tmp/a.jsonl'))
    await backfill(at, {}, { hidden: 'read' })
    bucket.failing.clear()
    await retry(at)
    const { totals, run } = await backfill(at)
    expect(totals).toMatchObject({ objects: 2, rows: 1, quarantined: 0, skipped: 1 })
    expect(run.setAside).toMatchObject([
      { key: '_tmp/a.jsonl', reason: expect.stringContaining('none that the source') as string },
    ])
    expect((await inspect(at.checkpoint)).retried).toBe(0)
  })

  test('is read first by a run that follows, and its messages and listings are judged after it', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl', 'b.jsonl'])
    await retry(at)
    bucket.put('0.jsonl', line('new', 9))
    const drain = new AbortController()
    const events: string[] = []
    const summary = await followWith(
      componentsOf(bucket),
      hourly(objects, at),
      {
        threads: 1,
        memory: '300MB',
        drain: drain.signal,
        onEvent: event => {
          if (event.is === 'reading-again') events.push(`${event.as} ${event.objects}`)
        },
      },
      ({ totals }) => totals.objects === 4 && drain.abort(),
    )
    expect(events).toEqual(['retry 2'])
    expect(summary.totals).toMatchObject({ objects: 4, rows: 4, quarantined: 0 })
    expect((await outcomes(at)).slice(3)).toEqual(['a.jsonl read', 'b.jsonl read', '0.jsonl read'])
    expect((await inspect(at.checkpoint)).retried).toBe(0)
  })

  test('a run that ends in the middle of them leaves the rest to the next one', async () => {
    const at = lab.place('a')
    const keys = ['a', 'b', 'c', 'd', 'e'].map(name => `${name}.jsonl`)
    await withArchived(at, keys)
    await retry(at)
    const drain = new AbortController()
    const drained = await backfillWith(
      componentsOf(bucket),
      hourly(objects, at),
      { ...small, objectsPerEpoch: 1, drain: drain.signal },
      () => drain.abort(),
    )
    expect(drained.run).toMatchObject({ objects: 1, drained: true })
    const { retried } = await inspect(at.checkpoint)
    expect(retried).toBe(4)
    expect(retryOf((await lab.head(at)).manifest)).toEqual({ all: true, objects: [], beforeSeq: 7 })
    await backfill(at)
    expect((await outcomes(at)).slice(6)).toEqual(keys.map(key => `${key} read`))
    expect(retryOf((await lab.head(at)).manifest)).toBeNull()
    await expectReplays(at)
  })

  test('a replay of another ledger does not read it: the request stays for the next run', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl'])
    const copy = lab.place('copy')
    await backfill(copy, { ledger: at.checkpoint })
    await retry(copy)
    expect((await backfill(copy, { ledger: at.checkpoint })).nothingToDo).toBe(true)
    expect((await inspect(copy.checkpoint)).retried).toBe(1)
    await backfill(copy)
    expect((await outcomes(copy)).at(-1)).toBe('a.jsonl read')
  })
})

describe('the request', () => {
  test('refuses what is not set aside, with what is near, and changes nothing', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl'])
    const before = await lab.head(at)
    const unknown = await failure(retry(at, 'a.jsonl', 'b.jsonl'))
    expect(unknown).toMatchObject({ kind: 'user', code: 'not-set-aside' })
    expect(unknown.message).toMatch(
      /object 'b.jsonl' is not set aside: the ledger does not hold it; did you mean 'a.jsonl'\?/,
    )
    expect((await failure(retry(at, 'z.jsonl'))).message).toContain('its rows were counted in epoch 1')
    expect(await lab.head(at)).toEqual(before)
    const many = Array.from({ length: 1_001 }, (_, n) => `${n}`)
    expect((await failure(retry(at, ...many))).message).toMatch(
      /objects: '1001 keys' is not valid; expected at most 1000/,
    )
    const nowhere = await failure(retryWith(components, lab.place('none').checkpoint, {}))
    expect(nowhere).toMatchObject({ kind: 'user' })
  })

  test('is refused by a sealed checkpoint (S6)', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl'])
    await backfill(at, { flush: true, final: true })
    expect(await failure(retry(at))).toMatchObject({ code: 'sealed' })
  })

  /** What a process has left that lives elsewhere, or has died. */
  async function claimElsewhere(at: Place, change: (head: Head) => Head['manifest'] = ({ manifest }) => manifest) {
    const checkpoint = createCheckpointStore({
      store: await components.openWritable(at.checkpoint, 'checkpoint'),
      owner: 'elsewhere/1/1',
      newId: randomUUID,
      scratch: lab.root,
      merge: () => Promise.reject(new Error('nothing to merge')),
    })
    const head = await checkpoint.claim((await lab.head(at)).manifest.engine)
    await checkpoint.commit(change(head))
    return { checkpoint, manifest: head.manifest }
  }

  test('waits for a live owner, and is made of what that one left; takeover fences it (P5, I3)', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl', 'b.jsonl'])
    const owner = await claimElsewhere(at)
    const waiting: string[] = []
    const retried = await retryWith(components, at.checkpoint, {
      onEvent: event => {
        if (event.is !== 'waiting') return
        waiting.push(event.owner)
        void owner.checkpoint.release({ ...owner.manifest, epoch: owner.manifest.epoch + 1 })
      },
    })
    expect(waiting).toEqual(['elsewhere/1/1'])
    expect(retried.count).toBe(2)
    const { manifest } = await lab.head(at)
    expect([manifest.epoch, retryOf(manifest)?.all]).toEqual([owner.manifest.epoch + 1, true])

    const fenced = await claimElsewhere(at)
    await retryWith(components, at.checkpoint, { takeover: true })
    expect((await fenced.checkpoint.commit(fenced.manifest)).is).toBe('fenced')
    const stopped = new AbortController()
    await claimElsewhere(at)
    const given = retryWith(components, at.checkpoint, { signal: stopped.signal, onEvent: () => stopped.abort() })
    expect(await failure(given)).toMatchObject({ code: 'stopped-waiting' })
  })

  test('leaves deaths on record: the next start searches on, and a suspect that killed stays quarantined (P13)', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl', 'b.jsonl'])
    const { epoch } = (await lab.head(at)).manifest
    const record: Attempt = { epoch: epoch + 1, deaths: carefulAfter, objects: 4, left: 4, alone: null }
    const takeover = { takeover: true }
    await claimElsewhere(at, ({ manifest }) => withAttempt(manifest, record))
    await retryWith(components, at.checkpoint, takeover)
    const left = await lab.head(at)
    expect([left.released, attemptOf(left.manifest)]).toEqual([true, { ...record, deaths: carefulAfter + 1 }])
    // Once more, of a clean stop: the record is as it was.
    await retry(at)
    expect(attemptOf((await lab.head(at)).manifest)).toEqual({ ...record, deaths: carefulAfter + 1 })

    const { bucket: name, key, eTag } = bucket.put('a.jsonl', line('a.jsonl', 0))
    const alone = { bucket: name, key, eTag }
    await claimElsewhere(at, ({ manifest }) => withAttempt(manifest, { ...record, alone }))
    await retryWith(components, at.checkpoint, takeover)
    await backfill(at)
    expect((await outcomes(at)).slice(3)).toEqual(['a.jsonl suspect', 'b.jsonl read'])
    await claimElsewhere(at, ({ manifest }) =>
      withAttempt(manifest, { epoch: manifest.epoch + 1, deaths: 0, objects: 1, left: 1, alone }),
    )
    await retryWith(components, at.checkpoint, { ...takeover, objects: ['a.jsonl'] })
    // That it died of it is written first; what was asked for after that is what this entry says.
    await backfill(at)
    expect((await outcomes(at)).slice(5)).toEqual(['a.jsonl quarantined'])
    expect((await inspect(at.checkpoint)).retried).toBe(0)
    await retry(at)
    await backfill(at)
    expect((await outcomes(at)).slice(6)).toEqual(['a.jsonl read'])
  })

  test('a clean start after it reads suspects all the same', async () => {
    const at = lab.place('a')
    await withArchived(at, ['c.jsonl'], [])
    const { bucket: name, key, eTag } = bucket.put('b.jsonl', line('b', 1))
    await claimElsewhere(at, ({ manifest }) =>
      withAttempt(manifest, {
        epoch: manifest.epoch + 1,
        deaths: carefulAfter,
        objects: 1,
        left: 1,
        alone: { bucket: name, key, eTag },
      }),
    )
    await backfill(at, { takeover: true })
    expect(await outcomes(at)).toEqual(['c.jsonl quarantined', 'b.jsonl suspect'])
    expect((await retry(at)).count).toBe(2)
    const { totals } = await backfill(at)
    // It was read as a suspect, before the request was looked at.
    expect((await outcomes(at)).slice(2)).toEqual(['b.jsonl read', 'c.jsonl read'])
    expect(totals).toMatchObject({ objects: 2, rows: 2, quarantined: 0, suspect: 0 })
    expect((await inspect(at.checkpoint)).retried).toBe(0)
  })

  test('doctor tells what is set aside', async () => {
    const at = lab.place('a')
    await withArchived(at, ['a.jsonl'])
    const found = await examine(componentsOf(bucket), hourly(objects, at), {})
    const warning = found.find(({ check, is }) => check === 'checkpoint' && is === 'warning')
    expect(warning?.message).toMatch(/^1 object set aside \(1 quarantined\).*'millrace retry'/)
    await retry(at)
    await backfill(at)
    const after = await examine(componentsOf(bucket), hourly(objects, at), {})
    expect(after.some(({ check, is }) => check === 'checkpoint' && is === 'warning')).toBe(false)
  })
})
