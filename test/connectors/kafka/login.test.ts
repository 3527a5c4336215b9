import { Admin, Producer } from '@platformatic/kafka'
import { beforeAll, describe, expect, test } from 'vitest'
import { kafka } from '../../../connectors/kafka/spec.ts'
import { openKafka } from '../../../connectors/kafka/open.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { KAFKA_LOGIN, startKafka } from '../../servers/kafka.ts'
import { contextOf, messageOf } from '../notifications/fixtures.ts'

let certificate = ''
const broker = await serverFor(() => startKafka({ version: '4.4.0', onSecured: found => (certificate = found) }))

describe.skipIf(!broker)('a Kafka broker that asks for TLS and a login', () => {
  const endpoint = broker?.endpoint ?? ''
  const open = (sasl: object, tls: object | boolean) =>
    openKafka(kafka({ brokers: [endpoint], topic: 'landed', sasl, tls } as never), contextOf())

  beforeAll(async () => {
    const sasl = { mechanism: 'PLAIN', ...KAFKA_LOGIN } as const
    const options = { clientId: 'test', bootstrapBrokers: [endpoint], sasl, tls: { ca: certificate } }
    const admin = new Admin(options)
    await admin.createTopics({ topics: ['landed'], partitions: 1, replicas: 1 })
    await admin.close()
    const producer = new Producer({ ...options, idempotent: true })
    await producer.send({ messages: [{ topic: 'landed', value: Buffer.from(messageOf('a')) }] })
    await producer.close()
  })

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'])('is read by %s', async mechanism => {
    const source = await open({ mechanism, ...KAFKA_LOGIN }, { ca: certificate })
    const messages = await source.pull(1, AbortSignal.timeout(30_000))
    expect(messages.map(({ objects }) => objects[0]?.key)).toEqual(['a'])
    await source.close()
  })

  test.each(['plain', 'scram-sha-512'])('refuses a wrong password by %s, and it is not shown', async mechanism => {
    const refusal = await open(
      { mechanism, username: KAFKA_LOGIN.username, password: 'hunter2' },
      { ca: certificate },
    ).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ kind: 'user', code: 'kafka-login-failed' })
    expect(String(refusal)).not.toContain('hunter2')
  })

  test('is refused when its certificate is not trusted', async () => {
    await expect(open({ mechanism: 'plain', ...KAFKA_LOGIN }, true)).rejects.toMatchObject({
      kind: 'user',
      code: 'kafka-tls-failed',
    })
  })
})
