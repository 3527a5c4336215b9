import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  duration,
  either,
  flag,
  list,
  nested,
  number,
  oneOf,
  only,
  place,
  text,
  whole,
} from '../../src/core/option-kinds.ts'
import { type OptionTable, type OptionValues, readCall, readOptions, valuesOfTexts } from '../../src/core/options.ts'
import type { Duration } from '../../src/core/duration.ts'

interface Login {
  readonly user: string
  readonly password: string
}

interface Example {
  readonly topic: string
  readonly retries?: number
  readonly every?: Duration
  readonly from?: 'earliest' | 'latest'
  readonly compress?: boolean
  readonly login?: Login
}

const login = {
  user: { kind: text(), isRequired: true, about: 'The name of a user.' },
  password: { kind: text(), isRequired: true, isSecret: true, about: 'The password of the user.' },
} satisfies OptionTable<Login>

const table = {
  topic: { kind: text('a topic', value => /^[a-z]+$/.test(value)), isRequired: true, about: 'The topic.' },
  retries: { kind: whole(0, 10), default: 3, about: 'How often a call is tried again.' },
  every: { kind: duration(), default: '1 minute', about: 'The pause between two calls.' },
  from: { kind: oneOf('earliest', 'latest'), otherwise: 'where the checkpoint says', about: 'Where reading begins.' },
  compress: { kind: flag, default: false, about: 'Whether messages are compressed.' },
  login: { kind: nested<Login>(login), about: 'Who calls.' },
} satisfies OptionTable<Example>

const read = (given: unknown) => readOptions('example', table, given)

test('values are those given, with the defaults of what was left out; undefined is left out', () => {
  expect(read({ topic: 'a' })).toEqual({ topic: 'a', retries: 3, every: '1 minute', compress: false })
  const all = {
    topic: 'a',
    retries: 0,
    every: '5m',
    from: 'latest',
    compress: true,
    login: { user: 'u', password: 'p' },
  }
  expect(read(all)).toEqual(all)
  expect(read({ topic: 'a', retries: undefined, from: undefined })).toEqual(read({ topic: 'a' }))
  type Values = OptionValues<typeof table>
  expectTypeOf<Values>().toExtend<Example>()
  expectTypeOf<Values['retries']>().toEqualTypeOf<number>()
  expectTypeOf<Values['every']>().toEqualTypeOf<Duration>()
  expectTypeOf<Values['from']>().toEqualTypeOf<'earliest' | 'latest' | undefined>()
})

test.each([
  [undefined, 'example: undefined is not valid; expected an object of options.'],
  [null, 'example: null is not valid; expected an object of options.'],
  [{}, 'example: topic is missing; expected a topic.'],
  [{ topic: 'A' }, "example: topic: 'A' is not valid; expected a topic."],
  [{ topic: null }, 'example: topic: null is not valid; expected a topic.'],
  [{ topic: () => 'a' }, 'example: topic: a function is not valid; expected a topic.'],
  [{ topic: 5n }, 'example: topic: 5 is not valid; expected a topic.'],
  [{ topic: [1n] }, 'example: topic: ["1"] is not valid; expected a topic.'],
  [{ topic: 'A'.repeat(5_000) }, `example: topic: '${'A'.repeat(200)}...' is not valid; expected a topic.`],
  [{ topic: 'a', retries: 11 }, 'example: retries: 11 is not valid; expected a whole number from 0 to 10.'],
  [{ topic: 'a', retries: 1.5 }, 'example: retries: 1.5 is not valid; expected a whole number from 0 to 10.'],
  [{ topic: 'a', retries: '3' }, "example: retries: '3' is not valid; expected a whole number from 0 to 10."],
  [{ topic: 'a', every: 'often' }, "example: every: 'often' is not valid; expected a whole number and a unit"],
  [{ topic: 'a', from: 'first' }, "example: from: 'first' is not valid; expected 'earliest' or 'latest'."],
  [
    { topic: 'a', from: 'lates' },
    "example: from: 'lates' is not valid; expected 'earliest' or 'latest'. Did you mean 'latest'?",
  ],
  [
    { topic: 'a', from: 'Earliest' },
    "example: from: 'Earliest' is not valid; expected 'earliest' or 'latest'. Did you mean 'earliest'?",
  ],
  [{ topic: 'a', compress: 'yes' }, "example: compress: 'yes' is not valid; expected true or false."],
  [
    { topic: 'a', retrys: 5 },
    "example: unknown option 'retrys'; did you mean 'retries'? Options here: topic, retries, every, from, compress, login.",
  ],
  [{ topic: 'a', toString: 5 }, "example: unknown option 'toString'. Options here: topic,"],
  [{ topic: 'a', login: { user: 'u' } }, 'example: login.password is missing; expected text that is not empty.'],
  [
    { topic: 'a', login: { user: 'u', pasword: 'hunter2' } },
    "example: unknown option 'login.pasword'; did you mean 'login.password'? Options here: user, password.",
  ],
])('%o is refused: call, option, what was found and what was expected', (given, message) => {
  expect(() => read(given)).toThrow(
    expect.objectContaining({ kind: 'user', code: 'configuration', message: expect.stringContaining(message) }),
  )
})

test.each([
  [{ topic: 'a', login: { user: 'u', password: 5 } }],
  [{ topic: 'a', login: { user: 'u', password: ['hunter2'] } }],
  [{ topic: 'a', login: 'hunter2' }],
  [{ topic: 'a', login: ['hunter2'] }],
  [{ topic: 'a', hunter2: 1, Login: { password: 'hunter2' } }],
  [['hunter2']],
  ['hunter2'],
])('a secret is never shown, wherever it stands: %j', given => {
  let message = ''
  try {
    read(given)
  } catch (error) {
    message = (error as Error).message
  }
  expect(message).toMatch(/^example: /)
  expect(message.replace("unknown option 'hunter2'", '')).not.toContain('hunter2')
})

describe('a call with options by position', () => {
  const window = {
    size: { kind: duration(), isRequired: true, isPositional: true, about: 'The length of a window.' },
    origin: { kind: text(), about: 'Where windows begin.' },
  } satisfies OptionTable<{ readonly size: Duration; readonly origin?: string }>

  test('takes them in the order of the table, and the rest from an object', () => {
    expect(readCall('window', window, ['5m'], undefined)).toEqual({ size: '5m' })
    expect(readCall('window', window, ['5m'], { origin: 'x' })).toEqual({ origin: 'x', size: '5m' })
  })

  test.each([
    [[undefined], {}, 'window: size is missing; expected a whole number and a unit'],
    [['5m'], { size: '1h' }, "window: unknown option 'size'. Options here: origin."],
    [['5m'], { orgin: 'x' }, "window: unknown option 'orgin'; did you mean 'origin'? Options here: origin."],
    [['5m'], 'x', "window: 'x' is not valid; expected an object of options."],
    [['5m'], null, 'window: null is not valid; expected an object of options.'],
  ])('%j with %j is refused', (positional, options, message) => {
    expect(() => readCall('window', window, positional, options)).toThrow(message)
  })

  test('a call without options says so', () => {
    expect(() => readCall('json', {}, [], { compression: 'gzip' })).toThrow(
      "json: unknown option 'compression'. There are no options here.",
    )
  })
})

test.each<[{ fromText?(value: string): unknown }, string, unknown]>([
  [text(), 'a b', 'a b'],
  [place, 's3://bucket/a', 's3://bucket/a'],
  [flag, 'true', true],
  [flag, 'false', false],
  [flag, 'yes', undefined],
  [whole(1, 20), '10', 10],
  [whole(1, 20), '-1', -1],
  [whole(1, 20), '1.5', undefined],
  [whole(1, 20), '', undefined],
  [number('a share', () => true), '0.95', 0.95],
  [number('a share', () => true), '1e-3', 0.001],
  [number('a share', () => true), 'half', undefined],
  [duration(), '1 day', '1 day'],
  [oneOf('json', 'parquet'), 'json', 'json'],
  [either(duration(), only(false)), '1 day', '1 day'],
  [either(duration(), only(false)), 'false', false],
  [either(flag, nested(login)), 'true', true],
  [list(whole(1), 'numbers'), '1, 2,3', [1, 2, 3]],
  [list(whole(1), 'numbers'), '1,x', undefined],
  [either(text(), list(text(), 'a list')), 'a', 'a'],
  [either(text(), list(text(), 'a list')), 'a,b', ['a', 'b']],
])('the value that a text says, as on a command line or in SQL: %#', (kind, given, value) => {
  expect(kind.fromText?.(given)).toEqual(value)
})

test.each<[{ fromTexts?(texts: any): unknown }, unknown, unknown]>([
  [list(whole(1), 'numbers'), ['1', '2'], [1, 2]],
  [list(whole(1), 'numbers'), ['1', ['2']], undefined],
  [list(whole(1), 'numbers'), { one: '1' }, undefined],
  [list(text(), 'texts'), ['a,b', ' c'], ['a,b', ' c']],
  [
    list(either(text(), nested(login)), 'names'),
    ['a', { user: 'u', password: 'p' }],
    ['a', { user: 'u', password: 'p' }],
  ],
  [list(nested(login), 'logins'), [{ usr: 'u' }], undefined],
  [nested(login), { user: 'u', password: 'p' }, { user: 'u', password: 'p' }],
  [nested(login), ['u'], undefined],
  [either(text(), list(text(), 'a list')), ['a,b'], ['a,b']],
  [either(flag, nested(login)), { user: 1 }, undefined],
])('the value that texts in a list or by names say, as in the WITH of SQL: %#', (kind, given, value) => {
  expect(kind.fromTexts?.(given)).toEqual(value)
})

test('the word that was meant is named inside lists, beside other kinds, on a command line, and never of a secret', () => {
  const order = oneOf('ascending', 'descending')
  const options = {
    all: { kind: list(order, 'a list of orders'), about: 'Several.' },
    one: { kind: either(only(false), order), about: 'One, or none.' },
    hidden: { kind: order, isSecret: true, about: 'One that nobody may see.' },
    logins: { kind: list(nested(login), 'a list of logins'), about: 'Who calls.' },
  } as const
  const refused = (given: object) => {
    try {
      readOptions('sort', options, given)
    } catch (error) {
      return (error as Error).message
    }
    return undefined
  }
  expect(refused({ all: ['ascending', 'descnding'] })).toMatch(/^sort: all\[1\]: .*Did you mean 'descending'\?$/)
  expect(refused({ one: 'ascendin' })).toMatch(/expected false or 'ascending' or .*Did you mean 'ascending'\?$/)
  expect(valuesOfTexts(options, { one: 'ascendin' })).toMatchObject({ problem: { shown: "'ascendin'" } })
  expect(valuesOfTexts(options, { all: 'ascendng' })).toMatchObject({ problem: { near: 'ascending' } })
  expect(refused({ hidden: 'ascendin' })).toBe(
    "sort: hidden: a string is not valid; expected 'ascending' or 'descending'.",
  )
  expect(valuesOfTexts(options, { hidden: 'ascendin' })).toEqual({
    problem: expect.not.objectContaining({ near: expect.anything() }),
  })
  expect(refused({ logins: [{ user: 'u', password: ['hunter2'] }] })).not.toContain('hunter2')
  expect(refused({ logins: 'hunter2' })).not.toContain('hunter2')
})

describe('options as texts', () => {
  test('give the values, those within others by names with dots', () => {
    expect(
      valuesOfTexts(table, { topic: 'a', retries: '5', compress: 'true', 'login.user': 'u', 'login.password': 'p' }),
    ).toEqual({ values: { topic: 'a', retries: 5, compress: true, login: { user: 'u', password: 'p' } } })
  })

  test.each([
    [{ retry: '5' }, { is: 'unknown', path: 'retry' }],
    [{ 'login.pasword': 'x' }, { is: 'unknown', path: 'login.pasword', names: ['user', 'password'] }],
    [{ 'topic.name': 'x' }, { is: 'unknown', path: 'topic' }],
    [
      { __proto__: 'x', 'constructor.name': 'x' },
      { is: 'unknown', path: 'constructor' },
    ],
    [{ retries: 'many' }, { is: 'invalid', path: 'retries', shown: "'many'" }],
    [{ retries: '11' }, { is: 'invalid', path: 'retries', shown: "'11'", expected: 'a whole number from 0 to 10' }],
    [{ login: 'hunter2' }, { is: 'invalid', path: 'login' }],
    [{ 'login.password': '' }, { is: 'invalid', path: 'login.password', shown: 'a string' }],
  ])('%j are refused', (texts, problem) => {
    expect(valuesOfTexts(table, texts as Record<string, string>)).toEqual({ problem: expect.objectContaining(problem) })
  })

  test('a value beside values within it is refused', () => {
    const tls = { tls: { kind: either(flag, nested(login)), about: 'Whether it is encrypted.' } }
    expect(valuesOfTexts(tls, { tls: 'true', 'tls.user': 'u' })).toMatchObject({ problem: { path: 'tls' } })
  })
})

describe('either', () => {
  const kind = either(flag, nested(login))
  test.each([
    [true, undefined],
    [{ user: 'u', password: 'p' }, undefined],
    [5, { path: '', expected: 'true or false or options: { user, password }' }],
    [{ user: 5, password: 'p' }, { path: 'user' }],
    [{ user: 'u' }, { is: 'missing', path: 'password' }],
    [
      { user: 'u', password: 'p', x: 1 },
      { is: 'unknown', path: 'x' },
    ],
  ])('tells the mistake inside the one that was meant: %j', (value, problem) => {
    const found = kind.problemOf(value)
    if (problem === undefined) expect(found).toBeUndefined()
    else expect(found).toMatchObject(problem)
  })
})

test('an item of a list is named by its place', () => {
  const brokers = {
    brokers: {
      kind: list(
        text('a broker', value => value.includes(':')),
        'a list of brokers',
      ),
      about: 'B.',
    },
  }
  expect(() => readOptions('kafka', brokers, { brokers: ['a:1', 'b'] })).toThrow(
    "kafka: brokers[1]: 'b' is not valid; expected a broker.",
  )
  expect(() => readOptions('kafka', brokers, { brokers: [] })).toThrow(
    'brokers: [] is not valid; expected a list of brokers.',
  )
})

test('a description and the interface that users see agree, or do not compile', () => {
  const about = 'One.'
  const one = { kind: text(), about }
  // @ts-expect-error an option of the interface is not described
  void ({} satisfies OptionTable<{ a?: string }>)
  // @ts-expect-error an option is described that the interface has not
  void ({ a: one, b: one } satisfies OptionTable<{ a?: string }>)
  // @ts-expect-error a value of another type
  void ({ a: one } satisfies OptionTable<{ a?: number }>)
  // @ts-expect-error fewer words than the interface has
  void ({ a: { kind: oneOf('x'), about } } satisfies OptionTable<{ a?: 'x' | 'y' }>)
  // @ts-expect-error more words than the interface has
  void ({ a: { kind: oneOf('x', 'y', 'z'), about } } satisfies OptionTable<{ a?: 'x' | 'y' }>)
  // @ts-expect-error required by the interface only
  void ({ a: one } satisfies OptionTable<{ a: string }>)
  // @ts-expect-error required by the description only
  void ({ a: { ...one, isRequired: true } } satisfies OptionTable<{ a?: string }>)
  expect(one.about).toBe('One.')
})
