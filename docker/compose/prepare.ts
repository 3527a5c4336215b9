// Makes the bucket `taxi` and has it tell each target (an ARN as argument) what lands below landing/. May run again.
import { CreateBucketCommand, PutBucketNotificationConfigurationCommand, S3Client } from '@aws-sdk/client-s3'

const s3 = new S3Client({ forcePathStyle: true })
try {
  await s3.send(new CreateBucketCommand({ Bucket: 'taxi' }))
} catch (error) {
  if ((error as Error).name !== 'BucketAlreadyOwnedByYou') throw error
}
const QueueConfigurations = process.argv.slice(2).map(QueueArn => ({
  QueueArn,
  Events: ['s3:ObjectCreated:*' as const],
  Filter: { Key: { FilterRules: [{ Name: 'prefix' as const, Value: 'landing/' }] } },
}))
await s3.send(
  new PutBucketNotificationConfigurationCommand({
    Bucket: 'taxi',
    NotificationConfiguration: { QueueConfigurations },
  }),
)
console.log(`taxi/landing/ is announced to ${process.argv.slice(2).join(' and ')}`)
