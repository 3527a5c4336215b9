import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { rawClient, S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { openLab } from '../engine/harness.ts'
import { serverFor } from '../servers/for-tests.ts'
import { S3_CREDENTIALS } from '../servers/minio.ts'
import { startMinistack } from '../servers/ministack.ts'

const ministack = await serverFor(startMinistack)

describe.skipIf(!ministack)('a daemon of a queue', () => {
  test('counts what it refuses and shows the backlog; logs name no credential', async () => {
    await using lab = await openLab()
    const endpoint = ministack?.endpoint ?? ''
    const s3 = rawClient(endpoint)
    const queues = new SQSClient({ endpoint, region: 'us-east-1', credentials: S3_CREDENTIALS })
    try {
      const Bucket = `status-${randomUUID()}`
      await s3.send(new CreateBucketCommand({ Bucket }))
      const { QueueUrl = '' } = await queues.send(new CreateQueueCommand({ QueueName: `status-${randomUUID()}` }))
      await queues.send(
        new SendMessageCommand({ QueueUrl, MessageBody: `no JSON, and ${S3_CREDENTIALS.secretAccessKey}` }),
      )
      const at = (prefix: string) => JSON.stringify(`s3://${Bucket}/${prefix}/?endpoint=${endpoint}`)
      const file = join(lab.root, 'pipeline.ts')
      await writeFile(
        file,
        `import { files, parquet, pipeline, select, source, sqs, to } from 'millrace'
export default pipeline('queued', { checkpoint: ${at('ck')} }, source('in', { objects: ${at('in')}, format: parquet(), columns: { t: 'TIMESTAMP' },
  time: 't', notifications: sqs({ queueUrl: ${JSON.stringify(QueueUrl)}, endpoint: ${JSON.stringify(endpoint)}, region: 'us-east-1' }) })
  .pipe(select('t'), to(files(${at('out')}, { format: 'parquet' }))))
`,
      )
      const args = [
        `${root}src/cli/bin.ts`,
        'run',
        file,
        '--http',
        '127.0.0.1:0',
        '--threads',
        '1',
        '--memory',
        '500MB',
      ]
      const child = startNode(args, root, S3_ENVIRONMENT)
      await child.says('"event":"malformed"')
      const address = /http:\/\/127\.0\.0\.1:\d+(?=: )/.exec(child.output().stderr)?.[0] ?? ''
      const metrics = await (await fetch(`${address}/metrics`)).text()
      child.kill('SIGTERM')
      const { code, stderr } = await child.ended
      expect(code, stderr).toBe(0)
      expect(metrics).toContain('millrace_refused_records_total{reason="malformed"} 1\n')
      expect(metrics).toMatch(/^millrace_backlog_messages \d+$/m)
      expect(stderr).toContain('no JSON, and [redacted]')
      expect(stderr).not.toContain(S3_CREDENTIALS.secretAccessKey)
    } finally {
      s3.destroy()
      queues.destroy()
    }
  })
})
