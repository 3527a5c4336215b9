import { expect, test } from 'vitest'
import { type BadRowFacts, type Verdict, verdictOf } from '../../src/engine/read/verdict.ts'

const sound: BadRowFacts = { bad: 0, isWrittenTo: false, isQuick: false, hasBroken: false, isBehind: false }

test.each<[what: string, facts: Partial<BadRowFacts>, quarantine: Verdict, fail: Verdict]>([
  ['no bad row is read', {}, 'read', 'read'],
  ['no bad row is read, whatever waits before it', { isQuick: true, isBehind: true }, 'read', 'read'],
  ['bad rows are set aside or stop the run', { bad: 1 }, 'read', 'fail'],
  [
    'a file written to is read again before the policy is asked',
    { bad: 1, isWrittenTo: true },
    'written-to',
    'written-to',
  ],
  [
    'a file written to is no matter of another reading',
    { bad: 1, isWrittenTo: true, isQuick: true, hasBroken: true },
    'written-to',
    'written-to',
  ],
  ['broken rows of a quick reading are read again', { bad: 2, isQuick: true, hasBroken: true }, 'doubtful', 'doubtful'],
  ['broken rows of a slow reading are what they are', { bad: 2, hasBroken: true }, 'read', 'fail'],
  ['misfits of a quick reading are what they are', { bad: 2, isQuick: true }, 'read', 'fail'],
  ['bad rows behind a doubtful object wait for it', { bad: 2, isQuick: true, isBehind: true }, 'doubtful', 'doubtful'],
])('%s', (_, facts, quarantine, fail) => {
  expect(verdictOf({ ...sound, ...facts }, { onBadRow: 'quarantine' })).toBe(quarantine)
  expect(verdictOf({ ...sound, ...facts }, { onBadRow: 'fail' })).toBe(fail)
})
