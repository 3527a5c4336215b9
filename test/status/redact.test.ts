import { describe, expect, test } from 'vitest'
import { kafka } from '../../src/index.ts'
import { createRedact, secretsOf } from '../../src/status/redact.ts'

describe('redaction', () => {
  const redact = createRedact(['hunter22', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'])

  test.each([
    ['failed for wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY now', 'failed for [redacted] now'],
    ['SASL said: hunter22!', 'SASL said: [redacted]!'],
    ['GET http://me:pa%40ss@127.0.0.1:9000/bucket', 'GET http://[redacted]@127.0.0.1:9000/bucket'],
    ['kafka://user@broker:9092', 'kafka://[redacted]@broker:9092'],
    [
      "refused 'https://b.s3.amazonaws.com/k.parquet?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc&x=1' at once",
      "refused 'https://b.s3.amazonaws.com/k.parquet?[redacted]' at once",
    ],
    ['https://b.s3.amazonaws.com/k?AWSAccessKeyId=x&Signature=y&Expires=1', 'https://b.s3.amazonaws.com/k?[redacted]'],
    ['key AKIAIOSFODNN7EXAMPLE is unknown', 'key [redacted] is unknown'],
    ['Authorization: Bearer abcdefghijkl', 'Authorization: Bearer [redacted]'],
    ['password=abc, user=me', 'password=[redacted], user=me'],
    ['{"sessionToken":"abc","a":1}', '{"sessionToken":"[redacted]","a":1}'],
    ['aws_secret_access_key = abc', 'aws_secret_access_key = [redacted]'],
    ['-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----', '[redacted]'],
  ])('%s', (text, shown) => {
    expect(redact(text)).toBe(shown)
  })

  test.each([
    'object 2022-01/a@b.parquet was not counted: No magic bytes found',
    'listed 3 objects at s3://bucket/prefix/ in 0.1 s',
    'https://sqs.eu-west-1.amazonaws.com/123456789012/landed has no redrive policy',
    'https://example.org/search?page=2',
    'Expected token before line 3',
  ])('%s stays as it is', text => {
    expect(redact(text)).toBe(text)
  })

  test('goes into objects and lists, and hides fields by their name', () => {
    expect(redact({ details: { sasl: { username: 'me', password: 'abc' }, tries: 3, said: ['hunter22'] } })).toEqual({
      details: { sasl: { username: 'me', password: '[redacted]' }, tries: 3, said: ['[redacted]'] },
    })
  })

  test('knows the secrets of pipeline and environment by value', () => {
    const spec = kafka({
      brokers: ['b:9092'],
      topic: 't',
      sasl: { mechanism: 'plain', username: 'me', password: 'swordfish' },
    })
    const secrets = secretsOf([spec], { AWS_SECRET_ACCESS_KEY: 'abcd1234', AWS_SESSION_TOKEN: '', HOME: '/root' })
    expect(createRedact(secrets)('swordfish, abcd1234 and /root')).toBe('[redacted], [redacted] and /root')
    const tls = secretsOf([kafka({ brokers: ['b:9092'], topic: 't', tls: { ca: 'public', key: 'private' } })], {})
    expect(tls).toEqual(['private'])
  })

  test('of notifications that nobody has described each text may be a secret, at any depth', () => {
    const spec = { notifications: 'amqp', login: { words: ['sword', 'fish'] }, prefetch: 5 }
    const redact = createRedact(secretsOf([spec as never], {}))
    expect(redact('sword: no fish for amqp')).toBe('[redacted]: no [redacted] for [redacted]')
  })
})
