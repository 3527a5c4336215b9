import { expect, test } from 'vitest'
import { pageTable, readRecorded, type Recorded, tableInPage } from '../../bench/table/page.ts'
import { works } from '../../bench/table/works.ts'

test('the page of performance shows the table on record, which has every work', async () => {
  const { full, small } = await readRecorded()
  expect(await tableInPage()).toBe(pageTable(full as Recorded))
  const names = works.map(({ name }) => name)
  expect(Object.keys(full?.works ?? {})).toEqual(names)
  expect(Object.keys(small?.works ?? {})).toEqual(names)
})
