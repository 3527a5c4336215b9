import { expect, test, vi } from 'vitest'
import { createCsvRecords } from '../../../connectors/csv/records.ts'

test('a record without an end is gone through once, however long it is', () => {
  let copied = 0
  const { concat } = Buffer
  const spy = vi.spyOn(Buffer, 'concat').mockImplementation(list => {
    copied += list.reduce((sum, piece) => sum + piece.length, 0)
    return concat(list)
  })
  const records: { readonly bytes: number; readonly fields: number; readonly fault: string | null }[] = []
  const settings = { header: false, delimiter: ',', quote: '"', escape: '"', nullText: '' }
  const cutter = createCsvRecords(settings, ({ raw, fields, fault }) =>
    records.push({ bytes: raw.length, fields, fault }),
  )
  try {
    cutter.push(Buffer.from('a,b\nc,'))
    const piece = Buffer.alloc(16_384, 'x')
    for (let n = 0; n < 1_024; n++) cutter.push(piece)
    cutter.push(Buffer.from('\r\nd,e\n'))
    expect(cutter.end()).toBe(undefined)
  } finally {
    spy.mockRestore()
  }
  // The first megabyte of it is put together piece by piece.
  expect(copied).toBeLessThan(4 * 1_024 * 16_384)
  expect(records).toEqual([
    { bytes: 3, fields: 2, fault: null },
    { bytes: expect.any(Number), fields: 2, fault: 'length' },
    { bytes: 3, fields: 2, fault: null },
  ])
})
