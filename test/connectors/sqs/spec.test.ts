import { describe, expect, test } from 'vitest'
import { sqs } from '../../../connectors/sqs/spec.ts'

const queueUrl = 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed'

describe('sqs()', () => {
  test('is plain data with defaults, and takes the region from the address of the queue', () => {
    expect(sqs({ queueUrl })).toEqual({
      notifications: 'sqs',
      queueUrl,
      region: 'eu-west-1',
      visibilityTimeoutS: 120,
      onMalformed: 'leave',
      onForeign: 'acknowledge',
    })
    expect(sqs({ queueUrl: 'https://cn-north-1.queue.amazonaws.com.cn/1/q' }).region).toBe('cn-north-1')
  })

  test('keeps what was asked for', () => {
    const options = {
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:9324',
      onMalformed: 'quarantine',
      onForeign: 'leave',
    }
    expect(
      sqs({ queueUrl: 'http://queue.test/000000000000/q.fifo', visibilityTimeout: '12 hours', ...options } as never),
    ).toEqual({
      notifications: 'sqs',
      queueUrl: 'http://queue.test/000000000000/q.fifo',
      visibilityTimeoutS: 43_200,
      ...options,
    })
  })

  test.each([
    [undefined, 'sqs: queueUrl is missing'],
    [null, 'sqs: null is not valid; expected an object of options.'],
    [{}, 'sqs: queueUrl is missing; expected an http or https address'],
    [{ queueUrl: 'landed' }, "sqs: queueUrl: 'landed' is not valid; expected an http or https address"],
    [{ queueUrl: 'arn:aws:sqs:eu-west-1:1:q' }, 'expected an http or https address'],
    [{ queueUrl: 'https://sqs.eu-west-1.amazonaws.com' }, 'expected the address of a queue'],
    [
      { queueUrl, region: 'us-east-1' },
      "sqs: region: 'us-east-1' is not valid; expected 'eu-west-1', the region that queueUrl names",
    ],
    [{ queueUrl, region: 'Dublin 1' }, "expected a region, such as 'eu-west-1'"],
    [{ queueUrl, endpoint: 'localhost' }, "sqs: endpoint: 'localhost' is not valid"],
    [{ queueUrl, visibilityTimeout: '1s' }, "sqs: visibilityTimeout: '1s' is not valid; expected '2s' to '12h'."],
    [{ queueUrl, visibilityTimeout: '13h' }, "expected '2s' to '12h'."],
    [
      { queueUrl, visibilityTimeout: 60 },
      'sqs: visibilityTimeout: 60 is not valid; expected a whole number and a unit',
    ],
    [{ queueUrl, onMalformed: 'drop' }, "sqs: onMalformed: 'drop' is not valid; expected 'leave' or 'quarantine'."],
    [{ queueUrl, onForeign: 'drop' }, "sqs: onForeign: 'drop' is not valid; expected 'acknowledge' or 'leave'."],
    [{ queueUrl, keys: 'raw' }, "sqs: unknown option 'keys'. Options here: queueUrl, region,"],
  ])('%j is refused', (options, message) => {
    expect(() => sqs(options as never)).toThrow(
      expect.objectContaining({ kind: 'user', message: expect.stringContaining(message) }),
    )
  })
})
