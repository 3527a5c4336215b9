// MinIO's webhook to SQS: each message that is posted goes into the queue `landed` as it is. MinIO posts again what was
// answered with an error.
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'

// The queue's server may be starting still, and names queues by an address of its own.
const sqs = new SQSClient({ maxAttempts: 15, useQueueUrlAsEndpoint: false })
const dead = await sqs.send(new CreateQueueCommand({ QueueName: 'landed-dead' }))
const { Attributes: { QueueArn: deadLetterTargetArn } = {} } = await sqs.send(
  new GetQueueAttributesCommand({ QueueUrl: dead.QueueUrl, AttributeNames: ['QueueArn'] }),
)
const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 10 })
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'landed', Attributes: { RedrivePolicy } }))
const server = createServer((request, response) => {
  void text(request)
    // A look whether somebody is there has no body.
    .then(async MessageBody => {
      if (MessageBody !== '') await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }))
    })
    .then(() => response.writeHead(200).end())
    .catch((error: unknown) => {
      console.error(error)
      response.writeHead(503).end()
    })
})
server.listen(Number(process.env.PORT ?? 8080), () => console.log(`to ${QueueUrl}`))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0))
