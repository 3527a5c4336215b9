import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { version } from '@duckdb/node-api'
import { describe, expect, test } from 'vitest'
import { serverFor } from './for-tests.ts'
import { openSparkPython } from './spark.ts'

const spark = await serverFor(openSparkPython)

describe.skipIf(!spark)('the Python of Spark', () => {
  test('has Spark, and the DuckDB of this package', async () => {
    // Spark itself is started where it is used (test/spark): that takes seconds.
    const script = `
import boto3, duckdb, json, pyarrow.parquet, pyspark
print(json.dumps([pyspark.__version__, duckdb.sql('SELECT version()').fetchone()[0]]))`
    const { stdout } = await promisify(execFile)(spark?.python ?? '', ['-c', script])
    expect(JSON.parse(stdout)).toEqual(['4.3.0', version()])
  })
})
