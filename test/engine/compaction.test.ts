import { describe, expect, test } from 'vitest'
import { decideCompaction, inlineFileBytesMax, mergedSpan, tierPartsMax } from '../../checkpoints/decide.ts'
import { addPart } from '../../checkpoints/manifest.ts'
import type { Manifest } from '../../checkpoints/types.ts'
import { createCompactor } from '../../src/engine/commit/compaction.ts'
import { emptyManifest } from '../checkpoints/fixtures.ts'

/** Every channel gets a file an epoch, as where each flow has state that is too large for HEAD. */
async function simulate(channels: number, epochs: number) {
  let merges = 0
  const compactor = createCompactor({
    compact: async ({ epoch, channels }, channel) => {
      const parts = decideCompaction(channels[channel] ?? [])
      const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
      const rows = parts.reduce((sum, part) => sum + part.rows, 0)
      const name = `${channel}/merged-${epoch}-${++merges}`
      return {
        channel,
        replaced: parts.map(part => part.name),
        part: { name, rows, bytes, sha256: '', ...mergedSpan(parts) },
      }
    },
  })
  let manifest: Manifest = emptyManifest()
  let most = 0
  for (let epoch = 1; epoch <= epochs; epoch++) {
    let next: Manifest = { ...manifest, epoch, garbage: [] }
    for (let index = 0; index < channels; index++) {
      const part = { name: `${index}/${epoch}`, bytes: inlineFileBytesMax + 1, rows: 1, sha256: '' }
      next = addPart(next, `segment-${index}`, { ...part, epochs: [epoch, epoch] })
    }
    manifest = compactor.take(next)
    compactor.begin(manifest)
    // The time of an epoch: merges that are due end within it.
    await new Promise(resolve => setImmediate(resolve))
    most = Math.max(most, Math.max(...Object.values(manifest.channels).map(parts => parts.length)))
  }
  await compactor.settle()
  return { manifest, most, merges }
}

describe('merging beside the epochs (P3)', () => {
  test.each([1, 10, 100])(
    'keeps the files of each of %i channels few over 1,000 epochs, and loses no row',
    async channels => {
      const { manifest, most, merges } = await simulate(channels, 1_000)
      // Four tiers of fewer than ten files each, and what is under way.
      expect(most).toBeLessThanOrEqual(4 * tierPartsMax)
      expect(merges).toBeGreaterThanOrEqual(channels * 100)
      for (const parts of Object.values(manifest.channels))
        expect(parts.reduce((sum, { rows }) => sum + rows, 0)).toBe(1_000)
    },
  )

  test('a merge that fails is the error of the next commit', async () => {
    const compactor = createCompactor({ compact: () => Promise.reject(new Error('the store is away')) })
    const parts = Array.from({ length: tierPartsMax }, (_, index) => ({
      name: `${index}`,
      bytes: inlineFileBytesMax + 1,
      rows: 1,
      sha256: '',
      epochs: [1, 1] as const,
    }))
    compactor.begin({ ...emptyManifest(), channels: { ledger: parts } })
    await compactor.settle()
    expect(() => compactor.take(emptyManifest())).toThrow('the store is away')
  })
})
