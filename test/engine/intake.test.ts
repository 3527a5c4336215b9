import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import type { ObjectVersion, Wanted } from '../../src/core/object-version.ts'
import type { Executor, Notification } from '../../src/core/ports.ts'
import type { Admitted } from '../../src/engine/intake/admit.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import { createIdentities, type Identities } from '../../src/engine/intake/identities.ts'
import { createIntake, type Intake } from '../../src/engine/intake/intake.ts'
import { createLedgerTable, ledgerText, objectRow } from '../../src/engine/state/ledger.ts'
import { unread } from '../../src/engine/read/marked-object.ts'
import type { Outcome } from '../../src/engine/read/outcome.ts'

let session: Session
let executor: Executor
let stop: AbortController
let intake: Intake
let identities: Identities
let troubles: string[]
/** What the store says of what messages name. */
let confirm: (wanted: Wanted) => ObjectVersion | 'missing' | 'changed' | undefined
beforeEach(async () => {
  session = await openSession({ threads: 1 })
  stop = new AbortController()
  executor = await session.executor(new AbortController().signal)
  await createLedgerTable(executor, 'ledger')
  identities = await createIdentities(executor, 's', 'identities')
  troubles = []
  confirm = ({ key }) => {
    throw new Error(`nobody asks for ${key}`)
  }
  intake = open()
})
afterEach(async () => {
  stop.abort()
  await intake.close()
  await session.close()
})

const open = (objectsMax = 3): Intake =>
  createIntake({
    source: 's',
    identities,
    looks: { confirm: async wanted => confirm(wanted) },
    miniBatch: { objectsMax, every: '1ms' },
    clock: systemClock,
    signal: stop.signal,
    onTrouble: what => troubles.push(what),
  })

const version = (key: string, eTag = '1', versionId?: string): ObjectVersion => ({
  bucket: 'b',
  key,
  eTag,
  ...(versionId === undefined ? {} : { versionId }),
  sizeBytes: 10,
  lastModifiedMs: 0,
})

/** A message that tells what became of it. */
function message(id: string, fails = false) {
  const told: string[] = []
  const notification: Notification = {
    objects: [],
    id,
    acknowledge: async () => {
      told.push('acknowledged')
      if (fails) throw new Error('gone')
    },
    release: async () => void told.push('released'),
  }
  return { notification, told }
}

const offer = (notification: Notification | undefined, ...versions: readonly ObjectVersion[]) =>
  intake.offer([{ offers: versions.map(one => ({ version: one })), ...(notification ? { notification } : {}) }])

let seq = 1
const none: ReadonlySet<Admitted> = new Set()
/** What the engine does with a mini-batch: its objects go to the ledger, then the intake hears of it. */
async function commit(batch: readonly Admitted[], outcome: Outcome = 'read'): Promise<void> {
  for (const entry of batch) {
    if (entry.is !== 'object') continue
    const marked = { ...unread('s', entry, 'quarantined', null), outcome }
    await executor.append('ledger', ledgerText([objectRow({ marked, seq: seq++, watermarkUs: null }, 1, 0)]))
  }
  intake.committed(batch, outcome === 'gone' ? new Set(batch) : none)
  await settled()
}

/** Acknowledgements run beside. */
const settled = () => systemClock.sleep(1)

async function next(): Promise<readonly Admitted[]> {
  const batch = await intake.next()
  if (!batch) throw new Error('the intake ended')
  return batch
}

const keys = (batch: readonly Admitted[]) => batch.map(entry => (entry.is === 'object' ? entry.key : entry.is))

describe('what is announced', () => {
  test('a message is acknowledged by the commit of the last of its objects, and by nothing before (I4, P9)', async () => {
    const { notification, told } = message('m')
    await offer(notification, version('a'), version('b'), version('c'), version('d'))
    const first = await next()
    expect(keys(first)).toEqual(['a', 'b', 'c'])
    expect(intake.settledBy(first, none)).toEqual([])
    await commit(first)
    expect(told).toEqual([])
    const second = await next()
    expect(intake.settledBy(second, none)).toEqual([notification])
    expect(told).toEqual([])
    await commit(second)
    expect(told).toEqual(['acknowledged'])
  })

  test('an object announced twice before its commit counts once, and both messages wait for that commit (I5)', async () => {
    const [one, two] = [message('1'), message('2')]
    expect(await offer(one.notification, version('a'))).toBe(0)
    expect(await offer(two.notification, version('a'))).toBe(1)
    const batch = await next()
    expect(keys(batch)).toEqual(['a'])
    expect(new Set(intake.settledBy(batch, none))).toEqual(new Set([one.notification, two.notification]))
    await commit(batch)
    expect([one.told, two.told]).toEqual([['acknowledged'], ['acknowledged']])
    expect(intake.isIdle).toBe(true)
  })

  test('the same object twice in one message counts once', async () => {
    const { notification, told } = message('m')
    expect(await offer(notification, version('a'), version('a'))).toBe(1)
    const batch = await next()
    expect(keys(batch)).toEqual(['a'])
    expect(intake.settledBy(batch, none)).toEqual([notification])
    await commit(batch)
    expect(told).toEqual(['acknowledged'])
  })

  test('a message whose objects the ledger holds is acknowledged on sight (P9)', async () => {
    await offer(undefined, version('a'))
    await commit(await next())
    const { notification, told } = message('m')
    expect(await offer(notification, version('a'))).toBe(1)
    await settled()
    expect(told).toEqual(['acknowledged'])
    expect(intake.isIdle).toBe(true)
  })

  test('a message that names nothing of the source is acknowledged', async () => {
    const { notification, told } = message('m')
    await offer(notification)
    await settled()
    expect(told).toEqual(['acknowledged'])
  })

  test.each([
    {
      name: 'equal versionIds are one version, whatever the eTag',
      held: version('a', '1', 'v1'),
      come: version('a', '2', 'v1'),
      isNew: false,
    },
    {
      name: 'other versionIds are two, whatever the eTag',
      held: version('a', '1', 'v1'),
      come: version('a', '1', 'v2'),
      isNew: true,
    },
    {
      name: 'where one side has no versionId the eTag tells',
      held: version('a', '1', 'v1'),
      come: version('a', '1'),
      isNew: false,
    },
    { name: 'other eTags are two', held: version('a', '1'), come: version('a', '2'), isNew: true },
  ])('$name (P1)', async ({ held, come, isNew }) => {
    await offer(undefined, held)
    await commit(await next())
    expect(await offer(undefined, come)).toBe(isNew ? 0 : 1)
    if (isNew) expect(await next()).toMatchObject([{ key: 'a', overwrites: true }])
  })

  test('another version of a key waits until the first is committed: only then is known what it overwrites', async () => {
    const { notification, told } = message('m')
    await offer(undefined, version('a', '1'))
    await offer(notification, version('a', '2'))
    const first = await next()
    expect(first).toMatchObject([{ key: 'a', eTag: '1', overwrites: false }])
    await commit(first, 'quarantined')
    const second = await next()
    // The first one was not read, so this one overwrites nothing.
    expect(second).toMatchObject([{ key: 'a', eTag: '2', overwrites: false }])
    expect(told).toEqual([])
    await commit(second)
    expect(told).toEqual(['acknowledged'])
    await offer(undefined, version('a', '3'))
    expect(await next()).toMatchObject([{ key: 'a', eTag: '3', overwrites: true }])
  })

  test('an object that could not be read while it was archived counts once it is restored, and once only', async () => {
    const restored = () => intake.offer([{ offers: [{ version: version('a'), isRestored: true }] }])
    await offer(undefined, version('a'))
    await commit(await next(), 'quarantined')
    expect(await offer(undefined, version('a'))).toBe(1)
    expect(await restored()).toBe(0)
    await commit(await next())
    expect(await restored()).toBe(1)
    expect(intake.isIdle).toBe(true)
  })

  test('a restore that is told while the archived object is being tried is not lost', async () => {
    await offer(undefined, version('a'))
    const tried = await next()
    const { notification, told } = message('restored')
    await intake.offer([{ offers: [{ version: version('a'), isRestored: true }], notification }])
    await commit(tried, 'quarantined')
    expect(told).toEqual([])
    await commit(await next())
    expect(told).toEqual(['acknowledged'])
  })

  test('an object that was gone is admitted when it is announced again, and then counts once (P13, I5)', async () => {
    const [one, two, three] = [message('1'), message('2'), message('3')]
    await offer(one.notification, version('a'))
    const tried = await next()
    expect(tried).toMatchObject([{ key: 'a' }])
    expect(intake.settledBy(tried, new Set(tried))).toEqual([one.notification])
    await commit(tried, 'gone')
    expect(one.told).toEqual(['acknowledged'])
    expect(await offer(two.notification, version('a'))).toBe(0)
    const again = await next()
    expect(again).toMatchObject([{ key: 'a', earlier: 'gone', overwrites: false }])
    await commit(again)
    expect(two.told).toEqual(['acknowledged'])
    expect(await offer(three.notification, version('a'))).toBe(1)
    await settled()
    expect(three.told).toEqual(['acknowledged'])
    expect(intake.isIdle).toBe(true)
  })

  test('of several entries of a version the last decides, unless one was read (P13)', async () => {
    const entries = async (key: string, outcomes: readonly Outcome[]) => {
      for (const outcome of outcomes) {
        await intake.offer([{ offers: [{ version: version(key), isRestored: true }] }])
        await commit(await next(), outcome)
      }
      return offer(undefined, version(key))
    }
    expect(await entries('a', ['quarantined', 'gone'])).toBe(0)
    await commit(await next())
    expect(await entries('b', ['gone', 'quarantined'])).toBe(1)
    expect(await entries('c', ['gone', 'gone', 'read'])).toBe(1)
  })

  test('a message that comes once the try has begun is judged again when that finds the object gone (P13, I4)', async () => {
    const [before, during, other] = [message('before'), message('during'), message('other')]
    await offer(undefined, version('a'))
    await offer(before.notification, version('a'))
    const tried = await next()
    const gone = new Set(tried)
    expect(await offer(during.notification, version('a'), version('b'))).toBe(1)
    expect(await offer(other.notification, version('a'))).toBe(1)
    // Where it is read, it settles all of them.
    expect(intake.settledBy(tried, none)).toEqual([before.notification, other.notification])
    expect(intake.settledBy(tried, gone)).toEqual([before.notification])
    await commit(tried, 'gone')
    expect([before.told, during.told, other.told]).toEqual([['acknowledged'], [], []])
    // Both belong to one further try, which nothing tells after it has begun.
    const again: Admitted[] = []
    while (again.length < 2) again.push(...(await next()))
    expect(keys(again).toSorted()).toEqual(['a', 'b'])
    await commit(again, 'gone')
    expect([during.told, other.told]).toEqual([['acknowledged'], ['acknowledged']])
    expect(intake.isIdle).toBe(true)
  })

  test('what is offered after the end is not admitted, and its message is given back', async () => {
    intake.end()
    const { notification, told } = message('m')
    await offer(notification, version('a'))
    expect(intake.inHand.objects).toBe(0)
    await intake.close()
    expect(told).toEqual(['released'])
  })

  describe('a version that a message named', () => {
    const announced = (key: string, eTag = '1', versionId?: string): Wanted => ({
      ...version(key, eTag, versionId),
      isAnnounced: true,
    })

    test('is asked of the store only where its key has another one under way or counted', async () => {
      intake = open(100)
      const asked: string[] = []
      confirm = ({ key, eTag }) => {
        asked.push(`${key} ${eTag}`)
        return version(key, eTag)
      }
      await offer(undefined, announced('a'), announced('b'), announced('a'))
      await commit(await next())
      await offer(undefined, announced('a'), announced('c'))
      expect(asked).toEqual([])
      await offer(undefined, announced('c', '2'), announced('a', '2'), announced('d', '1'), announced('d', '2'))
      expect(asked).toEqual(['c 2', 'a 2', 'd 2'])
    })

    test('and is not there, waits for no other and holds none up: they are gone in one mini-batch, each settled', async () => {
      intake = open(1_000)
      confirm = ({ eTag }) => (eTag.endsWith('7') ? 'missing' : 'changed')
      await offer(undefined, announced('a'))
      const forged = Array.from({ length: 300 }, (_, n) => announced('a', `forged ${n}`))
      const { notification, told } = message('forged')
      await offer(notification, ...forged, ...forged)
      const { notification: truth, told: isTold } = message('true')
      await offer(truth, announced('a'))
      const batch: Admitted[] = []
      while (batch.length < 301) batch.push(...(await next()))
      expect(batch).toHaveLength(301)
      expect(batch[0]).toMatchObject({ eTag: '1' })
      expect(batch[0]).not.toHaveProperty('known')
      expect(batch.slice(1).every(entry => entry.is === 'object' && entry.known?.outcome === 'gone')).toBe(true)
      expect(batch[8]).toMatchObject({ eTag: 'forged 7', known: { reason: 'the object is gone' } })
      expect(batch[9]).toMatchObject({ eTag: 'forged 8', known: { reason: 'the object changed after it was listed' } })
      await commit(batch.slice(0, 1))
      expect([told, isTold]).toEqual([[], ['acknowledged']])
      await commit(batch.slice(1), 'gone')
      expect(told).toEqual(['acknowledged'])
      expect(intake.isIdle).toBe(true)
    })

    test('and is there as the store has it: under its own versionId or none (P1)', async () => {
      await offer(undefined, version('a'))
      // The server knows no versions, so it is the one that is under way.
      confirm = ({ key, eTag }) => version(key, eTag)
      const { notification, told } = message('m')
      expect(await offer(notification, announced('a', '1', 'forged'))).toBe(1)
      const batch = await next()
      expect(intake.settledBy(batch, none)).toEqual([notification])
      await commit(batch)
      expect(told).toEqual(['acknowledged'])
      confirm = ({ key, eTag, versionId }) => version(key, eTag, versionId)
      await offer(undefined, announced('a', '2', 'v2'))
      const [other] = await next()
      expect(other).toMatchObject({ key: 'a', eTag: '2', versionId: 'v2', overwrites: true })
      expect(other).not.toHaveProperty('isAnnounced')
    })

    test('and is gone, waits for one that it is the same as (P1): the ledger has them one after the other', async () => {
      confirm = () => 'missing'
      await offer(undefined, version('a'))
      const { notification, told } = message('m')
      expect(await offer(notification, announced('a', '1', 'v1'))).toBe(1)
      const first = await next()
      expect(first).toHaveLength(1)
      await commit(first, 'gone')
      expect(told).toEqual([])
      const second = await next()
      expect(second).toMatchObject([{ versionId: 'v1', earlier: 'gone', known: { outcome: 'gone' } }])
      await commit(second, 'gone')
      expect(told).toEqual(['acknowledged'])
      // Where the first was read, it is known.
      await offer(undefined, version('b'))
      await offer(message('n').notification, announced('b', '1', 'v1'))
      await commit(await next())
      expect(intake.isIdle).toBe(true)
    })

    test('and comes while it is known to be gone, is asked for again: it may be there by now', async () => {
      intake = open(100)
      confirm = () => 'missing'
      await offer(undefined, version('a'))
      await commit(await next())
      await offer(undefined, announced('a', '2'))
      confirm = ({ key, eTag }) => version(key, eTag)
      const { notification, told } = message('m')
      await offer(notification, announced('a', '2'))
      await commit(await next(), 'gone')
      expect(told).toEqual([])
      const second = await next()
      expect(second).toMatchObject([{ eTag: '2', earlier: 'gone', overwrites: true }])
      expect(second[0]).not.toHaveProperty('known')
      await commit(second)
      expect(told).toEqual(['acknowledged'])
    })

    test('and of which the store does not tell is met where it is read', async () => {
      await offer(undefined, version('a'))
      await commit(await next())
      confirm = () => undefined
      await offer(undefined, announced('a', '2'))
      expect(await next()).toMatchObject([{ eTag: '2', isAnnounced: true, overwrites: true }])
    })
  })

  test('an acknowledgement that fails is told, and ends nothing: the message comes again', async () => {
    const { notification } = message('m', true)
    await offer(notification, version('a'))
    await commit(await next())
    expect(troubles).toEqual(['acknowledging message m'])
    const again = message('m')
    await offer(again.notification, version('a'))
    await settled()
    expect(again.told).toEqual(['acknowledged'])
  })

  test('what is not committed at the end is given back, and is not acknowledged', async () => {
    const [open1, done] = [message('open'), message('done')]
    await offer(done.notification, version('a'))
    await commit(await next())
    await offer(open1.notification, version('b'))
    await intake.close()
    expect([done.told, open1.told]).toEqual([['acknowledged'], ['released']])
    expect(await intake.next()).toBeUndefined()
  })

  test('what came while a commit ran is one mini-batch, as far as limits allow (P3)', async () => {
    for (const key of ['a', 'b']) {
      await offer(undefined, version(key))
      // Each is due by itself.
      await systemClock.sleep(20)
    }
    expect(keys(await next())).toEqual(['a', 'b'])
  })

  test('no more is taken than two mini-batches hold: a backlog waits where it is (law 6)', async () => {
    let taken = 0
    const all = (async () => {
      for (let index = 0; index < 20; index++) {
        await offer(undefined, version(`k${index}`))
        taken++
      }
    })()
    for (let seen = 0; seen < 20; ) {
      const batch = await next()
      expect(taken).toBeLessThanOrEqual(seen + 6)
      await commit(batch)
      seen += batch.length
    }
    await all
    expect(intake.isIdle).toBe(true)
  })

  test('a failure of what feeds it ends it', async () => {
    intake.fail(new Error('no queue'))
    await expect(intake.next()).rejects.toThrow('no queue')
  })
})
