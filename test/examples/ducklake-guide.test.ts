import { expect, test } from 'vitest'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'
import { followLakeGuide } from './lake-guide.ts'

const readers = await serverFor(openLakeReaders)

test.skipIf(!readers)('the guide of DuckLake shows what its pipeline gives', async () => {
  if (!readers) return
  const [, changes] = await followLakeGuide(readers, 'ducklake', ['ducklake'])
  expect(changes?.slice(1).map(row => row[2])).toEqual(['insert', 'insert', 'insert'])
})
