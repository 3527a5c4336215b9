// Lets the files of a folder land in the bucket, in order of their names: node produce.ts FOLDER SECONDS-BETWEEN
// Started again it goes on after the last that has landed.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'

const [folder = '.', seconds = '10'] = process.argv.slice(2)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0))

const s3 = new S3Client({ forcePathStyle: true })
const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: 'taxi', Prefix: 'landing/' }))
const landed = new Set(Contents.map(({ Key }) => Key))
for (const name of (await readdir(folder)).toSorted()) {
  if (landed.has(`landing/${name}`)) continue
  await s3.send(
    new PutObjectCommand({ Bucket: 'taxi', Key: `landing/${name}`, Body: await readFile(join(folder, name)) }),
  )
  console.log(`landed: ${name}`)
  await setTimeout(Number(seconds) * 1_000)
}
