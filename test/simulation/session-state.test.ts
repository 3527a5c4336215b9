import { mkdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeHead } from '../../checkpoints/codec.ts'
import { inlineFileBytesMax, tierPartsMax } from '../../checkpoints/decide.ts'
import { headKey } from '../../checkpoints/paths.ts'
import type { Part } from '../../checkpoints/types.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  countDistinct,
  files,
  groupBy,
  parquet,
  pipeline,
  session,
  source,
  to,
} from '../../src/index.ts'
import { type Lab, openLab } from '../engine/harness.ts'

/** Epochs, and hours of event time: an object each. */
const hours = 40
const visitors = 1_000

/**
 * Visitors who come once, and whose sessions end with the second hour after: of each hour a file, as keys are hashes. `beat`
 * comes every half an hour and never ends.
 */
describe.each([
  { name: 'sessions that end', beats: false },
  { name: 'a session that never ends beside others', beats: true },
])('state of $name', ({ beats }) => {
  let lab: Lab
  const manifests: { readonly main: readonly Part[]; readonly side: readonly Part[] }[] = []
  beforeAll(async () => {
    lab = await openLab()
    for (let hour = 0; hour < hours; hour++)
      await lab.parquet(
        `visits_${String(hour).padStart(3, '0')}.parquet`,
        `SELECT TIMESTAMP '2024-05-01' + to_hours(${hour}) + to_seconds(i * 977 % 3600) AS t, md5(concat(${hour}, '-', i)) AS k, i AS n FROM range(${visitors}) AS r(i)
         ${beats ? `UNION ALL SELECT TIMESTAMP '2024-05-01' + to_hours(${hour}) + to_minutes(30 * i), 'beat', i FROM range(2) AS b(i)` : ''}`,
      )
    const visits = source('visits', {
      objects: lab.input,
      format: parquet(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', n: 'BIGINT' },
      time: 't',
      watermark: { delay: '0s' },
    })
    const flow = visits.pipe(
      session('1 hour'),
      groupBy('k'),
      aggregate({ n: count(), values: countDistinct('n') }),
      to(files(lab.output, { format: 'parquet' })),
    )
    const watched = {
      ...components,
      openWritable: async (root: string) => {
        await mkdir(root, { recursive: true })
        const store = createDirectoryStore(root)
        return {
          ...store,
          put: (...args: Parameters<typeof store.put>) => {
            const [key, body] = args
            if (key === headKey && body instanceof Uint8Array) note(decodeHead(body, key).manifest?.channels ?? {})
            return store.put(...args)
          },
        }
      },
    }
    await backfillWith(watched, pipeline('visits', { checkpoint: lab.checkpoint }, flow), {
      objectsPerEpoch: 1,
      threads: 1,
      memory: '300MB',
    })
  }, 300_000)
  afterAll(() => lab[Symbol.asyncDispose]())

  function note(channels: Readonly<Record<string, readonly Part[]>>): void {
    const [side = [], main = []] = Object.keys(channels)
      .filter(name => name.startsWith('segment-'))
      .toSorted((a, b) => b.length - a.length)
      .map(name => channels[name] ?? [])
    manifests.push({ main, side })
  }

  test('stays flat: files go with what they hold, or are merged without what is dead (S10, P11)', () => {
    expect(manifests.length).toBeGreaterThanOrEqual(hours)
    // Three hours live. A tier of ten is merged, while some epochs go on.
    const partsMax = beats ? 3 * tierPartsMax : 4
    for (const of of ['main', 'side'] as const) {
      const bytesOf = (parts: readonly Part[]) => parts.reduce((sum, { bytes }) => sum + bytes, 0)
      const epochBytes = Math.max(...manifests.map(manifest => bytesOf(manifest[of].slice(-1))))
      expect(epochBytes).toBeGreaterThan(inlineFileBytesMax)
      expect(Math.max(...manifests.map(manifest => manifest[of].length))).toBeLessThanOrEqual(partsMax)
      expect(Math.max(...manifests.map(manifest => bytesOf(manifest[of])))).toBeLessThanOrEqual(partsMax * epochBytes)
    }
  })

  test('and every session is whole', async () => {
    const rows = await lab.rows()
    expect(rows).toHaveLength(hours * visitors + (beats ? 1 : 0))
    expect(rows.filter(({ k }) => k !== 'beat').every(({ n, values }) => n === '1' && values === '1')).toBe(true)
    const beat = { window_start: '2024-05-01 00:00:00', n: String(2 * hours), values: '2' }
    expect(rows.filter(({ k }) => k === 'beat')).toMatchObject(beats ? [beat] : [])
  })
})
