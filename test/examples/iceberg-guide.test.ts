import { expect, test } from 'vitest'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'
import { followLakeGuide } from './lake-guide.ts'

const readers = await serverFor(openLakeReaders)

test.skipIf(!readers)('the guide of Iceberg shows what its pipeline gives', async () => {
  if (!readers) return
  expect(await followLakeGuide(readers, 'iceberg', ['avro', 'iceberg'])).toHaveLength(1)
})
