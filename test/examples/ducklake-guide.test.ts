import { expect, test } from 'vitest'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'
import { followLakeGuide } from './lake-guide.ts'

const readers = await serverFor(openLakeReaders)

test.skipIf(!readers)('the guide of DuckLake shows what its pipeline gives', async () => {
  if (!readers) return
  const [, added, changed] = await followLakeGuide(readers, 'ducklake', ['ducklake'])
  expect(added?.slice(1).map(row => row[2])).toEqual(['insert', 'insert', 'insert'])
  expect(changed?.map(row => row.join('|'))).toEqual([
    'change_type|shop|cents',
    'insert|north|500',
    'insert|south|900',
    'update_preimage|north|500',
    'update_postimage|north|750',
  ])
})
