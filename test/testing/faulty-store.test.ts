import { describe, expect, test } from 'vitest'
import { createMemoryStore, type Fault, withFaults } from '../../src/testing/index.ts'
import { describeObjectStore } from '../contracts/object-store.ts'

describeObjectStore('memory behind faults that never come', {
  create: async () => withFaults(createMemoryStore(), { seed: 1, rates: {} }),
  isWriteOnce: false,
})

describe('withFaults', () => {
  const body = Buffer.from('x')

  test.each<[Fault, string, boolean]>([
    ['unknown-before', 'unknown', false],
    ['unknown-after', 'unknown', true],
    ['unknown-late', 'unknown', false],
    ['conflict-after', 'conflict', true],
  ])('a put that meets %s answers %s', async (fault, outcome, isApplied) => {
    const memory = createMemoryStore()
    const store = withFaults(memory, { seed: 1, rates: {} })
    store.faultAt(2, fault)
    expect(await store.put('first', body, 'absent')).toMatchObject({ is: 'stored' })
    expect(await store.put('second', body, 'absent')).toMatchObject({ is: outcome })
    expect((await memory.get('second')) !== 'missing').toBe(isApplied)
  })

  test('lets a late write arrive after later calls', async () => {
    const memory = createMemoryStore()
    const store = withFaults(memory, { seed: 1, rates: {} })
    store.faultAt(1, 'unknown-late')
    await store.put('late', body, 'absent')
    for (let i = 0; i < 20; i++) await store.get('other')
    expect(await memory.get('late')).not.toBe('missing')
  })

  test('makes the same trace from the same seed, and another from another', async () => {
    const trace = async (seed: number): Promise<string> => {
      const rates = { 'unknown-before': 0.2, 'unknown-after': 0.2, 'conflict-after': 0.2, error: 0.3 }
      const store = withFaults(createMemoryStore(), { seed, rates })
      const seen: string[] = []
      for (let i = 0; i < 40; i++) {
        seen.push((await store.put(`${i}`, body, 'absent')).is)
        seen.push(await store.get(`${i}`).then(String, () => 'error'))
      }
      return seen.join(' ')
    }
    expect(await trace(7)).toBe(await trace(7))
    expect(await trace(7)).not.toBe(await trace(8))
  })

  test('fails reads and listings with an error that says retry', async () => {
    const store = withFaults(createMemoryStore(), { seed: 1, rates: { error: 1 } })
    await expect(store.get('x')).rejects.toMatchObject({ kind: 'retry' })
    await expect(store.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ kind: 'retry' })
  })
})
