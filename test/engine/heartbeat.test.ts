import { describe, expect, test } from 'vitest'
import type { CommitOutcome } from '../../checkpoints/checkpoint-store.ts'
import type { Manifest } from '../../checkpoints/types.ts'
import type { Clock } from '../../src/core/clock.ts'
import { heartbeatMs, startHeartbeat } from '../../src/engine/commit/heartbeat.ts'

/** A clock that moves when the test says so. */
function handClock(): Clock & { tick(): Promise<void> } {
  let wake: (() => void) | undefined
  return {
    startedAtMs: 0,
    nowMs: () => 0,
    sleep: (ms, signal) =>
      new Promise(resolve => {
        expect(ms).toBe(heartbeatMs)
        wake = resolve
        signal?.addEventListener('abort', () => resolve(), { once: true })
      }),
    async tick() {
      wake?.()
      // The loop's own steps after it woke.
      for (let step = 0; step < 10; step++) await Promise.resolve()
    },
  }
}

const committed = { is: 'committed', head: {} } as CommitOutcome
const fenced = { is: 'fenced', by: { owner: 'other', term: 2 } } as CommitOutcome

describe('the heartbeat (P5)', () => {
  test('beats when nothing was committed for an interval, and not when something was', async () => {
    const clock = handClock()
    let beats = 0
    const heartbeat = startHeartbeat({ beat: async () => (beats++, committed) }, clock, () => {})
    await clock.tick()
    expect(beats).toBe(1)
    heartbeat.wrote()
    await clock.tick()
    expect(beats).toBe(1)
    await clock.tick()
    expect(beats).toBe(2)
    await heartbeat.stop()
  })

  test('carries what is to be recorded when nothing else is written', async () => {
    const clock = handClock()
    const given: unknown[] = []
    const beat: Parameters<typeof startHeartbeat>[0]['beat'] = async amend => {
      given.push(amend?.({ epoch: 3 } as Manifest))
      return committed
    }
    const heartbeat = startHeartbeat({ beat }, clock, () => {})
    await clock.tick()
    heartbeat.carry(manifest => ({ ...manifest, epoch: manifest.epoch + 4 }))
    await clock.tick()
    expect(given).toEqual([undefined, { epoch: 7 }])
    await heartbeat.stop()
  })

  test('tells the run when the checkpoint has another owner, or HEAD cannot be written', async () => {
    for (const [beat, expected] of [
      [async () => fenced, fenced],
      [() => Promise.reject(new Error('no space left')), new Error('no space left')],
    ] as const) {
      const clock = handClock()
      const lost: unknown[] = []
      const heartbeat = startHeartbeat({ beat }, clock, found => lost.push(found))
      await clock.tick()
      expect(lost).toEqual([expected])
      await heartbeat.stop()
    }
  })
})
