import { expect, test } from 'vitest'
import type { SourceFacts } from '../../../src/status/page/facts.ts'
import { sentenceOfRun } from '../../../src/status/page/sentence.ts'

const health = { isLive: true, isReady: true, state: 'running', why: '' } as const

type Waiting = Pick<SourceFacts, 'inHand' | 'backlog'>

function told(...waiting: readonly Waiting[]): string {
  const sources = waiting.map(one => ({ name: 'trips', address: 's3://lake/trips/', ...one }) as SourceFacts)
  return sentenceOfRun(health, sources, [], 20_000).sentence
}

test.each([
  ['nothing waits', { inHand: { objects: 0, oldestMs: null }, backlog: { messages: 0, oldestMs: null } }],
  ['12 messages wait', { inHand: { objects: 0, oldestMs: null }, backlog: { messages: 12, oldestMs: null } }],
  [
    '3.0 s behind, 12 messages and 2 objects wait',
    {
      inHand: { objects: 2, oldestMs: 3_000 },
      backlog: { messages: 12, oldestMs: null },
    },
  ],
  [
    '9.0 s behind, 12 messages wait',
    {
      inHand: { objects: 0, oldestMs: null },
      backlog: { messages: 12, oldestMs: 9_000 },
    },
  ],
] satisfies readonly [string, Waiting][])(
  'the sentence tells an age only where one is known: %s',
  (waiting, source) => {
    expect(told(source)).toBe(`follows s3://lake/trips/, ${waiting}, last commit 20 s ago`)
  },
)
