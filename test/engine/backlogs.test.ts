import { expect, test } from 'vitest'
import { createBacklogs } from '../../src/engine/backlogs.ts'
import { manualClock } from '../status/manual-clock.ts'

test('a queue is asked at most every 5 s how much waits in it, whoever wants to know', async () => {
  const clock = manualClock()
  let asked = 0
  const backlogs = createBacklogs(clock, [{ backlog: async () => ({ messages: ++asked }) }, undefined])
  expect(await Promise.all([backlogs(), backlogs()])).toEqual([
    [{ messages: 1 }, {}],
    [{ messages: 1 }, {}],
  ])
  clock.advance(4_999)
  expect(await backlogs()).toEqual([{ messages: 1 }, {}])
  clock.advance(1)
  expect(await backlogs()).toEqual([{ messages: 2 }, {}])
})

test('one that could not be asked is asked again', async () => {
  const clock = manualClock()
  const answers = [Promise.reject(new Error('away')), Promise.resolve({ messages: 3 })]
  const backlogs = createBacklogs(clock, [{ backlog: () => answers.shift() ?? expect.unreachable() }])
  await expect(backlogs()).rejects.toThrow('away')
  clock.advance(5_000)
  expect(await backlogs()).toEqual([{ messages: 3 }])
})
