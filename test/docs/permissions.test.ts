import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../cli/child.ts'
import { readPage } from './pages.ts'

/** Where the action that AWS asks for is not called as the operation is. */
const actions: Readonly<Record<string, string>> = {
  'client-s3 CompleteMultipartUpload': 's3:PutObject',
  'client-s3 CopyObject': 's3:PutObject',
  'client-s3 CreateMultipartUpload': 's3:PutObject',
  'client-s3 DeleteObjects': 's3:DeleteObject',
  'client-s3 GetBucketLifecycleConfiguration': 's3:GetLifecycleConfiguration',
  'client-s3 GetBucketNotificationConfiguration': 's3:GetBucketNotification',
  'client-s3 HeadBucket': 's3:ListBucket',
  'client-s3 HeadObject': 's3:GetObject',
  'client-s3 ListObjectVersions': 's3:ListBucketVersions',
  'client-s3 ListObjectsV2': 's3:ListBucket',
  'client-s3 UploadPart': 's3:PutObject',
  'client-s3 UploadPartCopy': 's3:PutObject',
  'client-sqs ChangeMessageVisibilityBatch': 'sqs:ChangeMessageVisibility',
  'client-sqs DeleteMessageBatch': 'sqs:DeleteMessage',
}

/** What the connectors may ask of AWS. */
async function askedFor(): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const service of ['s3', 'sqs']) {
    for (const name of await readdir(join(root, 'connectors', service))) {
      const text = await readFile(join(root, 'connectors', service, name), 'utf8')
      for (const [, operation = ''] of text.matchAll(/\bnew (\w+)Command\(/g))
        found.add(actions[`client-${service} ${operation}`] ?? `${service}:${operation}`)
    }
  }
  return found
}

test('the pages of permissions name every action that is asked for, and no other', async () => {
  const policy = await readPage('docs/guides/aws-permissions.md')
  const [, after = ''] = (await readPage('docs/guides/after.md')).split('## What to allow')
  const named: readonly string[] = `${policy}${after}`.match(/\b(?:s3|sqs):[A-Z][A-Za-z]+/g) ?? []
  const asked = await askedFor()
  expect(asked.size).toBeGreaterThan(12)
  // With the id of a version it is an action of its own.
  const ofVersions = [...asked].map(action => action.replace(/Object(Tagging)?$/, 'ObjectVersion$1'))
  const known = new Set([...asked, ...ofVersions])
  expect([...asked].filter(action => !named.includes(action))).toEqual([])
  expect(named.filter(action => !known.has(action))).toEqual([])
})

test('the policy to copy has what its table has for a queue and for each place', async () => {
  const page = await readPage('docs/guides/aws-permissions.md')
  const [, text = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? []
  const { Version, Statement } = JSON.parse(text) as {
    readonly Version: string
    readonly Statement: readonly { readonly Effect: string; readonly Action: string | readonly string[] }[]
  }
  expect(Version).toBe('2012-10-17')
  const [, table = ''] = /^(\| Place \|[\s\S]*?)\n\n/m.exec(page) ?? []
  const inTable = table.match(/\b(?:s3|sqs):[A-Z][A-Za-z]+/g) ?? []
  expect(Statement.flatMap(({ Action }) => Action).toSorted()).toEqual(inTable.toSorted())
})
