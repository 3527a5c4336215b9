import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import type { Manifest, Unpublished } from '../../checkpoints/types.ts'
import type { Clock } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { createDelivery } from '../../src/engine/publish/deliveries.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import type { Flows } from '../../src/engine/bind/flows.ts'
import { createPublisher } from '../../src/engine/publish/publisher.ts'
import { liveTries, type PublisherContext } from '../../src/engine/publish/publish-epoch.ts'
import { behindDefault, type Output } from '../../src/engine/publish/output.ts'
import { waitingIn } from '../../src/engine/publish/lane.ts'
import { emptyManifest, waitsHere } from '../checkpoints/fixtures.ts'

/** Rows of one epoch that wait for a flow. */
const waits = (output: string, epoch: number, bytes = 100): Unpublished =>
  waitsHere(output, epoch, { name: `deliveries/1-${epoch}-${output}.parquet`, bytes, rows: 10, sha256: '' })
const naming = (...unpublished: readonly Unpublished[]): Manifest => ({ ...emptyManifest(9), unpublished })

/** Lets everything happen that waits for nothing. */
const settled = () => new Promise(resolve => setImmediate(resolve))

/** How a flow ends: handing rows over, in a sink of either kind, or in none that is known here. */
type End = 'rows' | 'ordered' | 'unordered' | 'unknown'

/** Flows of a pipeline that take their rows when the test says so, and a clock whose sleeps end when it says so. */
function desk(ends: readonly End[], options: Partial<Pick<PublisherContext, 'tries'>> = {}) {
  const open = new Map<string, { resolve(): void; reject(error: Error): void }>()
  const begun: string[] = []
  const events: RunEvent[] = []
  const sleeps: number[] = []
  const stop = new AbortController()
  let wake = () => {}
  let nowMs = 0
  const clock: Clock = {
    startedAtMs: 0,
    nowMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise(resolve => {
        sleeps.push(ms)
        wake = () => {
          nowMs += ms
          resolve()
        }
        signal?.addEventListener('abort', () => resolve(), { once: true })
      }),
  }
  const deliver: Flows['deliver'] = (index, epoch, _committed, signal) =>
    new Promise((resolve, reject) => {
      const name = `flow-${index + 1} ${epoch}`
      begun.push(name)
      open.set(name, { resolve, reject })
      signal.addEventListener('abort', () => reject(new Error('unsubscribed')), { once: true })
    })
  const executor = { stream: () => Promise.reject(new Error('nothing is read here')) as never }
  const outputs = ends.flatMap((is, index): Output[] => {
    const name = `flow-${index + 1}`
    const delivery = createDelivery(name, index, { deliver })
    if (is === 'rows') return [{ name, is, sink: delivery, operation: 'append', behind: behindDefault }]
    const sink = { ...delivery, isOrdered: is === 'ordered' }
    return is === 'unknown'
      ? []
      : [{ name, is: 'sink', sink, operation: 'append', behind: { epochsMax: 3, bytesMax: 1_000 } }]
  })
  const deliveries = createPublisher({
    outputs,
    term: 1,
    checkpoint: { load: async () => {} },
    executor,
    stage: tmpdir(),
    newId: () => 'none',
    clock,
    signal: stop.signal,
    tries: { rows: 1, sink: 1 },
    onEvent: event => events.push(event),
    ...options,
  })
  /** Waits until the epoch is handed over: the file of the one before is removed first. */
  const taking = async (name: string) => {
    for (;;) {
      const found = open.get(name)
      open.delete(name)
      if (found) return found
      await settled()
    }
  }
  return {
    deliveries,
    begun,
    events,
    sleeps,
    stop,
    pass(ms: number) {
      nowMs += ms
    },
    async wake() {
      wake()
      await settled()
    },
    async take(name: string) {
      ;(await taking(name)).resolve()
      const isOfSink = ends[Number(name.slice(5, name.indexOf(' '))) - 1] !== 'rows'
      const seen = events.length
      const isTaken = () =>
        isOfSink
          ? events.slice(seen).some(event => event.is === 'phase')
          : events.some(event => event.is === 'delivered' && `${event.flow} ${event.epoch}` === name)
      while (!isTaken()) await settled()
      await settled()
    },
    async refuse(name: string, error: string | Error) {
      ;(await taking(name)).reject(typeof error === 'string' ? new Error(error) : error)
      await settled()
    },
  }
}

test('epochs of a flow come one after another, in order; flows do not wait for each other', async () => {
  const { deliveries, begun, take } = desk(['rows', 'unknown', 'rows'])
  deliveries.begin(naming(waits('flow-1', 1), waits('flow-3', 1), waits('flow-1', 2), waits('flow-3', 3)))
  await settled()
  expect(begun).toEqual(['flow-1 1', 'flow-3 1'])
  await take('flow-3 1')
  await take('flow-3 3')
  expect(begun).toEqual(['flow-1 1', 'flow-3 1', 'flow-3 3'])
  expect(deliveries.waiting).toEqual([{ flow: 'flow-1', epochs: 2, rows: 20, bytes: 200 }])
  await take('flow-1 1')
  expect(begun.at(-1)).toBe('flow-1 2')
  const all = deliveries.settle()
  await take('flow-1 2')
  await all
  expect(deliveries.waiting).toEqual([])
})

test('what was taken leaves the manifest, its file becomes garbage, and a write that still names it hands nothing over again (P12)', async () => {
  const { deliveries, begun, take } = desk(['rows'])
  const first = naming(waits('flow-1', 1), waits('flow-1', 2))
  deliveries.begin(first)
  await settled()
  expect(deliveries.record(first)).toBe(first)
  await take('flow-1 1')
  // This commit was prepared before.
  deliveries.begin(first)
  const recorded = deliveries.record(naming(waits('flow-1', 1), waits('flow-1', 2), waits('flow-1', 3)))
  expect(recorded.unpublished.map(({ epoch }) => epoch)).toEqual([2, 3])
  expect(recorded.garbage).toEqual([{ store: 'checkpoint', name: 'deliveries/1-1-flow-1.parquet', droppedAt: 9 }])
  deliveries.begin(recorded)
  await take('flow-1 2')
  await take('flow-1 3')
  expect(begun).toEqual(['flow-1 1', 'flow-1 2', 'flow-1 3'])
})

describe('a slow flow', () => {
  const many = Array.from({ length: behindDefault.epochsMax }, (_, index) => waits('flow-1', index + 1))

  test.each([
    ['epochs', many],
    ['bytes', [waits('flow-1', 1, behindDefault.bytesMax - 1), waits('flow-1', 2, 1)]],
  ])('holds commits back by %s, until one is taken', async (_what, full) => {
    const { deliveries, take, pass } = desk(['rows', 'rows'])
    deliveries.begin(naming(...full.slice(0, -1), waits('flow-2', 1)))
    expect(await deliveries.room()).toBe(true)
    pass(1_000)
    expect(deliveries.lastHeldMs).toBe(0)

    deliveries.begin(naming(...full, waits('flow-2', 1)))
    await settled()
    let isRoom = false
    const room = deliveries.room().then(() => (isRoom = true))
    // Another flow makes no room for this one.
    await take('flow-2 1')
    pass(5_000)
    expect(isRoom).toBe(false)
    expect(deliveries.lastHeldMs).toBe(6_000)
    await take('flow-1 1')
    await room
    pass(1_000)
    expect(deliveries.lastHeldMs).toBe(6_000)
  })

  test('is not waited for when the run is to end: the epoch in hand is left for the next start', async () => {
    const { deliveries } = desk(['rows'])
    deliveries.begin(naming(...many))
    const drain = new AbortController()
    const room = deliveries.room(drain.signal)
    drain.abort()
    expect(await room).toBe(false)
    expect(await desk(['rows']).deliveries.room(drain.signal)).toBe(true)
  })
})

describe('a flow that does not take its rows', () => {
  test('gets them again after longer and longer pauses, until they are taken', async () => {
    const { deliveries, begun, events, refuse, sleeps, take, wake } = desk(['rows'], { tries: liveTries })
    deliveries.begin(naming(waits('flow-1', 4)))
    await settled()
    for (const pause of [1_000, 2_000, 4_000]) {
      await refuse('flow-1 4', 'database away')
      expect(sleeps.at(-1)).toBe(pause)
      await wake()
    }
    await take('flow-1 4')
    await deliveries.settle()
    expect(begun).toEqual(['flow-1 4', 'flow-1 4', 'flow-1 4', 'flow-1 4'])
    const trouble = { is: 'trouble', what: 'handing the rows of epoch 4 to flow-1', error: 'database away' }
    expect(events).toEqual([
      trouble,
      trouble,
      trouble,
      { is: 'delivered', flow: 'flow-1', epoch: 4, rows: 10, tookMs: 7_000 },
    ])
  })

  test('fails the run after so many tries, and says that nothing is lost', async () => {
    const { deliveries, begun, refuse, sleeps, wake } = desk(['rows'], { tries: liveTries })
    deliveries.begin(naming(waits('flow-1', 4), waits('flow-1', 5)))
    await settled()
    for (let attempt = 1; attempt < liveTries.rows; attempt++) {
      await refuse('flow-1 4', 'database away')
      await wake()
    }
    const failed = deliveries.settle().catch((error: unknown) => error)
    await refuse('flow-1 4', 'database away.')
    expect(await failed).toMatchObject({
      kind: 'fatal',
      code: 'rows-not-taken',
      message:
        'flow-1: the rows of epoch 4 were not taken in 10 tries: database away. They stay in the checkpoint; the next start hands them over again.',
    })
    expect(Math.max(...sleeps)).toBe(60_000)
    expect(begun).toHaveLength(liveTries.rows)
    // A commit that ends after it begins nothing anew.
    deliveries.begin(naming(waits('flow-1', 4), waits('flow-1', 5)))
    await settled()
    expect(begun).toHaveLength(liveTries.rows)
    await expect(deliveries.room()).rejects.toThrow('database away')
  })

  test('ends work that waits for something else', async () => {
    const { deliveries, refuse } = desk(['rows'])
    deliveries.begin(naming(waits('flow-1', 1)))
    await settled()
    const never = new Promise<void>(() => {})
    const failed = deliveries.beside(never).catch((error: unknown) => error)
    await refuse('flow-1 1', 'broken')
    expect(await failed).toMatchObject({
      message: expect.stringContaining('flow-1: the rows of epoch 1 were not taken: broken.') as string,
    })
  })

  test('lets other flows finish the epochs that they are taking, for a while', async () => {
    const { deliveries, begun, refuse, sleeps, take } = desk(['rows', 'rows'])
    const named = naming(waits('flow-1', 1), waits('flow-2', 1), waits('flow-2', 2))
    deliveries.begin(named)
    await settled()
    await refuse('flow-1 1', 'broken')
    const stopped = deliveries.stop()
    await take('flow-2 1')
    await stopped
    expect(begun).toEqual(['flow-1 1', 'flow-2 1'])
    expect(sleeps).toEqual([10_000])
    expect(deliveries.record(named).unpublished.map(({ output, epoch }) => `${output} ${epoch}`)).toEqual([
      'flow-1 1',
      'flow-2 2',
    ])
  })
})

test('the end of a run unsubscribes what is not finished in time, and ends every pause', async () => {
  const { deliveries, refuse, sleeps, wake } = desk(['rows', 'rows'], { tries: { rows: 2, sink: 2 } })
  const named = naming(waits('flow-1', 1), waits('flow-2', 1))
  deliveries.begin(named)
  await settled()
  await refuse('flow-2 1', 'database away')
  const stopped = deliveries.stop()
  await settled()
  expect(sleeps).toEqual([1_000, 10_000])
  await wake()
  await stopped
  expect(deliveries.record(named)).toBe(named)
})

test('the end of a run fails whoever waits for room: nothing more is published', async () => {
  const { deliveries, begun, take } = desk(['ordered'])
  deliveries.begin(naming(...[1, 2, 3, 4, 5].map(epoch => waits('flow-1', epoch))))
  await settled()
  const fitting = deliveries.fits().catch((error: unknown) => error)
  const stopped = deliveries.stop()
  await take('flow-1 1')
  await stopped
  expect(await fitting).toMatchObject({ code: 'aborted' })
  expect(begun).toEqual(['flow-1 1'])
  // What fits may still be recorded.
  const roomy = desk(['ordered'])
  roomy.deliveries.begin(naming(waits('flow-1', 1)))
  const over = roomy.deliveries.stop()
  await roomy.take('flow-1 1')
  await over
  await roomy.deliveries.fits()
})

test('a stop unsubscribes at once', async () => {
  const { deliveries, stop } = desk(['rows'])
  deliveries.begin(naming(waits('flow-1', 1)))
  await settled()
  const failed = deliveries.settle().catch((error: unknown) => error)
  stop.abort()
  expect(await failed).toMatchObject({ code: 'aborted' })
  await deliveries.stop()
})

test('work beside it gives what it gives, errors too', async () => {
  const { deliveries } = desk(['rows'])
  expect(await deliveries.beside(Promise.resolve(3))).toBe(3)
  await expect(deliveries.beside(Promise.reject(new Error('mine')))).rejects.toThrow('mine')
})

test('rows of a flow that hands nothing over any more are no rows to forget', () => {
  const { deliveries } = desk(['unknown'])
  expect(() => deliveries.begin(naming(waits('flow-1', 1)))).toThrow(
    "The checkpoint has committed rows for 'flow-1' to take, which the pipeline no longer hands over.",
  )
})

describe('sinks', () => {
  const away = () => new MillraceError('retry', 'simulated', 'The target is away.')

  test('an ordered one gets an epoch after the one before, another one gets several at once', async () => {
    const { deliveries, begun, take } = desk(['ordered', 'unordered'])
    deliveries.begin(naming(waits('flow-1', 1), waits('flow-2', 1), waits('flow-1', 2), waits('flow-2', 2)))
    await settled()
    expect(begun.toSorted()).toEqual(['flow-1 1', 'flow-2 1', 'flow-2 2'])
    await take('flow-2 2')
    const recorded = deliveries.record(naming(waits('flow-2', 1), waits('flow-2', 2)))
    expect(recorded.unpublished).toEqual([waits('flow-2', 1)])
    await take('flow-1 1')
    expect(begun.at(-1)).toBe('flow-1 2')
    expect(deliveries.lags).toEqual([
      { flow: 'flow-1', epochs: 1, rows: 10, bytes: 100, retries: 0 },
      { flow: 'flow-2', epochs: 1, rows: 10, bytes: 100, retries: 0 },
    ])
    expect(deliveries.waiting).toEqual([])
  })

  test('one that takes epochs in any order gets four at once, however many wait, and each of them', async () => {
    const { deliveries, begun, take } = desk(['unordered'])
    const epochs = Array.from({ length: 9 }, (_, index) => index + 1)
    deliveries.begin(naming(...epochs.map(epoch => waits('flow-1', epoch))))
    await settled()
    expect(begun).toEqual([1, 2, 3, 4].map(epoch => `flow-1 ${epoch}`))
    for (const epoch of epochs.toReversed()) if (epoch <= 4) await take(`flow-1 ${epoch}`)
    for (const epoch of epochs) if (epoch > 4) await take(`flow-1 ${epoch}`)
    await deliveries.settle()
    expect(begun.toSorted()).toEqual(epochs.map(epoch => `flow-1 ${epoch}`))
  })

  test.each([
    ['epochs', [waits('flow-1', 1), waits('flow-1', 2), waits('flow-1', 3)]],
    ['bytes', [waits('flow-1', 1), waits('flow-1', 2, 900)]],
  ])('hold commits back by %s, of their own bound, until one is published', async (_what, full) => {
    const { deliveries, take } = desk(['ordered', 'rows'])
    deliveries.begin(naming(...full))
    await settled()
    let isRoom = false
    const room = deliveries.room().then(() => (isRoom = true))
    let fits = false
    const fitting = deliveries.fits().then(() => (fits = true))
    await settled()
    expect([isRoom, fits]).toEqual([false, false])
    await take('flow-1 1')
    await room
    await fitting
    expect([isRoom, fits]).toEqual([true, true])
  })

  test('one large epoch that is published lets the next be computed and not be committed', async () => {
    const { deliveries, take } = desk(['unordered'])
    deliveries.begin(naming(waits('flow-1', 1, 5_000)))
    expect(await deliveries.room()).toBe(true)
    let fits = false
    const fitting = deliveries.fits().then(() => (fits = true))
    await settled()
    expect(fits).toBe(false)
    await take('flow-1 1')
    await fitting
  })

  test('one that is away gets it again for as long as a run follows its source; its retries are counted, and others go on', async () => {
    const { deliveries, begun, events, refuse, sleeps, take, wake } = desk(['ordered', 'ordered'], { tries: liveTries })
    deliveries.begin(naming(waits('flow-1', 1), waits('flow-2', 1), waits('flow-2', 2)))
    await settled()
    await take('flow-2 1')
    await take('flow-2 2')
    for (let attempt = 1; attempt <= 30; attempt++) {
      await refuse('flow-1 1', away())
      await wake()
    }
    expect(deliveries.lags[0]).toMatchObject({ flow: 'flow-1', epochs: 1, retries: 30 })
    expect([sleeps[0], sleeps[1], Math.max(...sleeps)]).toEqual([1_000, 2_000, 60_000])
    expect(events.filter(({ is }) => is === 'trouble')[0]).toEqual({
      is: 'trouble',
      what: 'publishing epoch 1 of flow-1',
      error: 'The target is away.',
    })
    await take('flow-1 1')
    await deliveries.settle()
    expect(begun.filter(name => name === 'flow-1 1')).toHaveLength(31)
  })

  test('one that is away too long for a backfill, or says something else, fails the run by its own error', async () => {
    const limited = desk(['ordered'], { tries: { rows: 1, sink: 2 } })
    limited.deliveries.begin(naming(waits('flow-1', 1)))
    await limited.refuse('flow-1 1', away())
    await limited.wake()
    await limited.refuse('flow-1 1', away())
    await expect(limited.deliveries.settle()).rejects.toMatchObject({ kind: 'retry', code: 'simulated' })

    const broken = desk(['ordered'], { tries: liveTries })
    broken.deliveries.begin(naming(waits('flow-1', 1)))
    await broken.refuse('flow-1 1', new MillraceError('fenced', 'fenced', 'Another one has it.'))
    await expect(broken.deliveries.settle()).rejects.toMatchObject({ kind: 'fenced' })
    await expect(broken.deliveries.fits()).rejects.toMatchObject({ kind: 'fenced' })
    expect(broken.begun).toEqual(['flow-1 1'])
  })

  test('publish what is committed after another output has failed; rows are handed over no more', async () => {
    const { deliveries, begun, refuse, take } = desk(['rows', 'ordered', 'rows'])
    deliveries.begin(naming(waits('flow-1', 1)))
    await settled()
    await refuse('flow-1 1', 'broken')
    await expect(deliveries.settle()).rejects.toThrow('broken')
    deliveries.begin(naming(waits('flow-1', 1), waits('flow-2', 1), waits('flow-3', 1)))
    await settled()
    expect(begun).toEqual(['flow-1 1', 'flow-2 1'])
    const stopped = deliveries.stop()
    await take('flow-2 1')
    await stopped
    expect(deliveries.record(naming(waits('flow-2', 1))).unpublished).toEqual([])
  })

  test('are not waited for by a start, which waits for rows alone', async () => {
    const { deliveries, take } = desk(['ordered', 'rows'])
    deliveries.begin(naming(waits('flow-1', 1), waits('flow-2', 1)))
    const handedOver = deliveries.settle('rows')
    await take('flow-2 1')
    await handedOver
    expect(deliveries.lags[0]?.epochs).toBe(1)
  })

  test('what was staged for a sink that stages nothing is no output to forget', () => {
    const { deliveries } = desk(['ordered'])
    expect(() => deliveries.begin(naming({ ...waits('flow-1', 1), at: 'sink' }))).toThrow(
      "The checkpoint has committed files of 'flow-1' to publish, which the pipeline no longer writes.",
    )
  })
})

test('a reader of the checkpoint counts by flow', () => {
  expect(waitingIn([waits('flow-2', 1), waits('flow-1', 1, 5), waits('flow-1', 2, 6)])).toEqual([
    { flow: 'flow-1', epochs: 2, rows: 20, bytes: 11 },
    { flow: 'flow-2', epochs: 1, rows: 10, bytes: 100 },
  ])
})
