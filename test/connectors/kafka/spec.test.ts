import { describe, expect, test } from 'vitest'
import { kafka } from '../../../connectors/kafka/spec.ts'

const brokers = ['broker-1:9092', '[::1]:19092']
const sasl = { mechanism: 'scram-sha-512', username: 'millrace', password: 'hunter2' }

describe('kafka()', () => {
  test('is plain data with defaults', () => {
    expect(kafka({ brokers, topic: 'landed' })).toEqual({
      notifications: 'kafka',
      brokers,
      topic: 'landed',
      groupId: 'millrace',
      clientId: 'millrace',
      from: 'earliest',
      keys: 'encoded',
    })
  })

  test('keeps what was asked for', () => {
    const options = {
      groupId: 'g',
      clientId: 'c',
      from: 'latest',
      keys: 'raw',
      sasl,
      tls: { ca: 'PEM', servername: 'k' },
    }
    expect(kafka({ brokers, topic: 'landed', ...options } as never)).toEqual({
      notifications: 'kafka',
      brokers,
      topic: 'landed',
      ...options,
    })
  })

  test.each([
    [undefined, 'kafka: brokers is missing'],
    ['hunter2', 'kafka: a string is not valid; expected an object of options.'],
    [{ topic: 't' }, "kafka: brokers is missing; expected a list such as ['broker-1:9092']."],
    [{ brokers: [], topic: 't' }, 'kafka: brokers: [] is not valid'],
    [{ brokers: ['kafka://b:1'], topic: 't' }, "'kafka://b:1' is not valid; expected 'host:port', without a scheme."],
    [{ brokers: ['b'], topic: 't' }, "'b' is not valid; expected 'host:port'"],
    [{ brokers: ['b:70000'], topic: 't' }, "'b:70000' is not valid"],
    [{ brokers, topic: 'a/b' }, "kafka: topic: 'a/b' is not valid; expected a topic: letters, digits, ., _ and -."],
    [{ brokers, topic: 't', groupId: '' }, "kafka: groupId: '' is not valid"],
    [{ brokers, topic: 't', from: 'now' }, "kafka: from: 'now' is not valid; expected 'earliest' or 'latest'."],
    [{ brokers, topic: 't', keys: 'guess' }, "kafka: keys: 'guess' is not valid; expected 'encoded' or 'raw'."],
    [{ brokers, topic: 't', sasl: { ...sasl, mechanism: 'gssapi' } }, "kafka: sasl.mechanism: 'gssapi' is not valid"],
    [{ brokers, topic: 't', sasl: { ...sasl, password: '' } }, 'kafka: sasl.password: a string is not valid'],
    [{ brokers, topic: 't', sasl: 'hunter2' }, 'kafka: sasl: a string is not valid'],
    [{ brokers, topic: 't', tls: 'hunter2' }, 'kafka: tls: a string is not valid; expected true or false or options'],
    [{ brokers, topic: 't', tls: { ca: 5 } }, 'kafka: tls.ca: 5 is not valid'],
    [{ brokers, topic: 't', tls: { key: 'x', password: 'hunter2' } }, "kafka: unknown option 'tls.password'"],
    [{ brokers, topic: 't', Sasl: sasl }, "kafka: unknown option 'Sasl'; did you mean 'sasl'?"],
  ])('%j is refused, and no secret is shown', (options, message) => {
    const refusal = (): unknown => {
      try {
        return kafka(options as never)
      } catch (error) {
        return error
      }
    }
    expect(refusal()).toMatchObject({ kind: 'user', message: expect.stringContaining(message) })
    expect(String(refusal())).not.toContain('hunter2')
  })
})
