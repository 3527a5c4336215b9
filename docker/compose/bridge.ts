// MinIO's webhook to SQS: each message that is posted goes into the queue `landed` as it is. MinIO posts again what was
// answered with an error.
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'

// The queue's server may be starting still, and names queues by an address of its own.
const sqs = new SQSClient({ maxAttempts: 10, useQueueUrlAsEndpoint: false })
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'landed' }))
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
