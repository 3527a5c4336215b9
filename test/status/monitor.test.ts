import { describe, expect, test } from 'vitest'
import type { RunEvent } from '../../src/engine/report/events.ts'
import type { Measurement, Running } from '../../src/engine/report/running.ts'
import { createMonitor } from '../../src/status/monitor.ts'
import { manualClock } from './manual-clock.ts'
import { measurement } from './measurement.ts'

const started: RunEvent = { is: 'started', term: 1, epoch: 0, checkpoint: 'file:///ck' }

function running(stalledMs: () => number = () => 0) {
  const asked: { answer(found: Measurement): void; refuse(error: Error): void }[] = []
  const given: Running = {
    plan: { pipeline: 'p', nodes: [], flows: {} },
    stalledMs,
    measure: () => new Promise((answer, refuse) => asked.push({ answer, refuse })),
  }
  return { given, asked }
}

/** Lets what is settled be told. */
const settle = () => new Promise(resolve => setImmediate(resolve))

describe('health', () => {
  test.each([
    [[], 'starting', true, false],
    [[{ is: 'waiting', owner: 'other' }], 'standby', true, false],
    [[{ is: 'waiting', owner: 'other' }, started], 'running', true, true],
    [[started, { is: 'restarting', error: 'S3 is away', inMs: 1 }], 'restarting', true, false],
    [[started, { is: 'restarting', error: 'S3 is away', inMs: 1 }, started], 'running', true, true],
    [[started, { is: 'draining' }], 'draining', true, false],
    [[started, { is: 'idle' }], 'draining', true, false],
    [[started, { is: 'draining' }, { is: 'stopped', epoch: 1 }], 'stopped', true, false],
  ] as readonly (readonly [readonly RunEvent[], string, boolean, boolean])[])(
    'after %o: %s',
    (events, state, isLive, isReady) => {
      const monitor = createMonitor(manualClock(), () => {})
      for (const event of events) monitor.onEvent(event)
      expect(monitor.health).toMatchObject({ state, isLive, isReady })
      expect('why' in monitor.health).toBe(!isReady)
    },
  )

  test('a run whose work has waited for a quarter of an hour is not live, and says so; a commit mends it', () => {
    let stalledMs = 899_999
    const monitor = createMonitor(manualClock(), () => {})
    monitor.onEvent(started)
    monitor.onRunning(running(() => stalledMs).given)
    expect(monitor.health).toEqual({ state: 'running', isLive: true, isReady: true })
    stalledMs = 900_000
    expect(monitor.health).toMatchObject({ isLive: false, isReady: false, why: expect.stringContaining('15 minutes') })
    stalledMs = 0
    expect(monitor.health.isLive).toBe(true)
  })

  test('a run that starts again is not judged by the one before', () => {
    const monitor = createMonitor(manualClock(), () => {})
    monitor.onEvent(started)
    monitor.onRunning(running(() => 1e9).given)
    monitor.onEvent({ is: 'restarting', error: 'S3 is away', inMs: 1_000 })
    expect(monitor.health.isLive).toBe(true)
  })
})

describe('measuring', () => {
  test('at most every 2 s, and once for all who ask at a time', async () => {
    const clock = manualClock()
    const { given, asked } = running()
    const monitor = createMonitor(clock, () => {})
    expect(await monitor.measured()).toBeUndefined()
    monitor.onEvent(started)
    monitor.onRunning(given)
    const both = [monitor.measured(), monitor.measured()]
    expect(asked).toHaveLength(1)
    asked[0]?.answer(measurement)
    expect(await Promise.all(both)).toEqual([measurement, measurement])
    clock.advance(1_999)
    expect(await monitor.measured()).toBe(measurement)
    expect(asked).toHaveLength(1)
    clock.advance(1)
    const next = monitor.measured()
    expect(asked).toHaveLength(2)
    asked[1]?.answer({ ...measurement, epoch: 8 })
    expect(await next).toMatchObject({ epoch: 8 })
  })

  test('takes a twentieth of the time, and never rests for more than 15 s', async () => {
    const clock = manualClock()
    const { given, asked } = running()
    const monitor = createMonitor(clock, () => {})
    monitor.onEvent(started)
    monitor.onRunning(given)
    const first = monitor.measured()
    clock.advance(500)
    asked[0]?.answer(measurement)
    await first
    clock.advance(19 * 500 - 1)
    await monitor.measured()
    expect(asked).toHaveLength(1)
    clock.advance(1)
    const second = monitor.measured()
    expect(asked).toHaveLength(2)
    clock.advance(60_000)
    asked[1]?.answer(measurement)
    await second
    clock.advance(14_999)
    await monitor.measured()
    expect(asked).toHaveLength(2)
    clock.advance(1)
    void monitor.measured()
    expect(asked).toHaveLength(3)
  })

  test('one that takes long gives what is known, and is asked for once', async () => {
    const clock = manualClock()
    const { given, asked } = running()
    const monitor = createMonitor(clock, () => {})
    monitor.onEvent(started)
    monitor.onRunning(given)
    const first = monitor.measured()
    clock.advance(2_000)
    expect(await first).toBeUndefined()
    clock.advance(60_000)
    const second = monitor.measured()
    expect(asked).toHaveLength(1)
    asked[0]?.answer(measurement)
    expect(await second).toBe(measurement)
  })

  test('one that fails is told, unless the end of the run interrupted it', async () => {
    const clock = manualClock()
    const told: unknown[] = []
    const { given, asked } = running()
    const monitor = createMonitor(clock, error => told.push(error))
    monitor.onEvent(started)
    monitor.onRunning(given)
    const error = new Error('no such table')
    const first = monitor.measured()
    asked[0]?.refuse(error)
    expect(await first).toBeUndefined()
    expect(told).toEqual([error])
    clock.advance(15_000)
    const second = monitor.measured()
    monitor.onEvent({ is: 'draining' })
    asked[1]?.refuse(new Error('interrupted'))
    await second
    expect(told).toHaveLength(1)
  })

  test('what an earlier run still answers is not taken for the new one', async () => {
    const clock = manualClock()
    const [old, now] = [running(), running()]
    const monitor = createMonitor(clock, () => {})
    monitor.onEvent(started)
    monitor.onRunning(old.given)
    void monitor.measured()
    monitor.onRunning(now.given)
    old.asked[0]?.answer({ ...measurement, epoch: 1 })
    await settle()
    const found = monitor.measured()
    now.asked[0]?.answer(measurement)
    expect(await found).toBe(measurement)
  })

  test('the age of the last commit goes on through restarts', () => {
    const clock = manualClock()
    const monitor = createMonitor(clock, () => {})
    clock.advance(1_000)
    monitor.onEvent({ is: 'epoch' } as RunEvent)
    clock.advance(5_000)
    monitor.onEvent({ is: 'restarting', error: 'away', inMs: 1 })
    monitor.onEvent(started)
    expect(monitor.commitAgeMs).toBe(5_000)
  })
})
