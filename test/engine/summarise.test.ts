import { expect, test } from 'vitest'
import { isEveryObjectSetAside } from '../../src/cli/exit-code.ts'
import type { Ready } from '../../src/engine/fold/run-ahead.ts'
import { unread } from '../../src/engine/read/marked-object.ts'
import type { EpochResult, Summary } from '../../src/engine/report/summary.ts'
import { addDone, nothingDone } from '../../src/engine/summarise.ts'

test('a run that sets objects aside for years names the first thousand, and counts all', () => {
  const done = nothingDone()
  for (let epoch = 0; epoch < 25; epoch++) {
    const objects = Array.from({ length: 100 }, (_, index) => {
      const version = { bucket: 'b', key: `${epoch}/${index}`, eTag: 'e', sizeBytes: 1, lastModifiedMs: 0 }
      return { marked: unread('s', version, 'quarantined', 'it is broken'), seq: index, watermarkUs: null }
    })
    addDone(done, { stamped: { objects } } as unknown as Ready, { late: 0 } as EpochResult)
  }
  expect(done).toMatchObject({ objects: 2_500, setAsideObjects: 2_500, epochs: 25 })
  expect(done.setAside).toHaveLength(1_000)
  expect(done.setAside[0]).toEqual({ key: '0/0', reason: 'it is broken' })
  expect(isEveryObjectSetAside(done as unknown as Summary['run'])).toBe(true)
})
