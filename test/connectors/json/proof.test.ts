import { appendFile } from 'node:fs/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { jsonFormat } from '../../../connectors/json/format.ts'
import { createProver } from '../../../connectors/json/proof.ts'
import { parseColumnType } from '../../../src/core/types.ts'
import type { Format } from '../../../src/plan/format.ts'
import { type ObjectReader, openObjectReader } from '../../contracts/object-reader.ts'
import { runs } from '../../engine/harness.ts'

// What a proof has shown is read by DuckDB's typed reader. What it gives must be what the checked casts give.

let reader: ObjectReader
beforeAll(async () => {
  reader = await openObjectReader()
})
afterAll(() => reader[Symbol.asyncDispose]())

type Columns = Readonly<Record<string, string>>

function shows(columns: Columns, body: string): boolean {
  const declared = Object.entries(columns).map(([name, type]) => ({
    name,
    from: name,
    type: parseColumnType(type, name),
  }))
  return createProver(declared)?.().shows(Buffer.from(body)) ?? false
}

/** What became of each object with proofs and without, and whether it was proven; all in the order of the bodies. */
async function bothWays(columns: Columns, bodies: readonly string[]) {
  // Objects are read in the order of their keys.
  const keys = bodies.map((_, index) => `${String(index).padStart(3, '0')}.json`)
  const objects = Object.fromEntries(bodies.map((body, index) => [keys[index], body]))
  const shown = new Set<string>()
  const withProof: Format = {
    ...jsonFormat,
    async ready(object) {
      const ready = await jsonFormat.ready(object)
      if (ready.is === 'ready' && ready.provenFields) shown.add(object.key)
      return ready
    },
  }
  const { readProven: _, ...strict } = jsonFormat
  return {
    found: await reader.read(withProof, columns, objects),
    expected: await reader.read(strict, columns, objects),
    proven: keys.map(key => shown.has(key)),
  }
}

const types = ['BIGINT', 'INTEGER', 'SMALLINT', 'TINYINT', 'DOUBLE', 'DECIMAL(18,2)', 'DECIMAL(4,3)', 'DECIMAL(9,0)']
  .concat(['DECIMAL(38,14)', 'BOOLEAN', 'VARCHAR', 'DATE', 'TIMESTAMP', 'TIMESTAMPTZ'])
  .concat(['FLOAT', 'UUID', 'BLOB', 'JSON', 'BIGINT[]', 'DECIMAL(2,2)', 'VARCHAR NOT NULL', 'BIGINT NOT NULL'])

const digits = (max: number) => fc.stringMatching(new RegExp(`^[0-9]{1,${max}}$`))
const two = fc.integer({ min: 0, max: 62 }).map(n => String(n).padStart(2, '0'))
const dateText = fc.tuple(fc.integer({ min: 0, max: 10_001 }), two, two).map(([year, month, day]) => {
  const years = String(year).padStart(4, '0')
  return `${years}-${month}-${day}`
})
const soundDate = fc
  .date({ min: new Date('1900-01-01'), max: new Date('2100-12-31'), noInvalidDate: true })
  .map(date => date.toISOString())
const zone = fc.constantFrom('', '', 'Z', 'z', '+02:00', '-00:30', ' UTC', '+00')
const instantText = fc.oneof(
  soundDate,
  fc
    .tuple(soundDate, fc.constantFrom(10, 16, 19, 21, 23), zone)
    .map(([date, length, end]) => date.slice(0, length) + end),
  fc
    .tuple(soundDate, digits(9), zone)
    .map(([date, more, end]) => `${date.slice(0, 19).replace('T', ' ')}.${more}${end}`),
  fc.tuple(dateText, two, two, two).map(([date, ...time]) => `${date}T${time.join(':')}`),
)
const number = fc.oneof(
  fc.integer().map(String),
  fc.tuple(fc.constantFrom('', '-', '+'), digits(20)).map(parts => parts.join('')),
  fc.tuple(fc.constantFrom('', '-'), digits(16), digits(19)).map(([sign, whole, part]) => `${sign}${whole}.${part}`),
  fc.tuple(fc.constantFrom('0', '1', '-7'), digits(18)).map(parts => parts.join('.')),
  fc.tuple(fc.integer({ min: -99, max: 99 }), fc.constantFrom('e', 'E+', 'e-'), digits(3)).map(parts => parts.join('')),
  fc.constantFrom('0', '-0', '0.0', '-0.0', '-0.00', '-0.01', '1.', '.5', '00', '01', '1e999', 'NaN', '-Infinity'),
  fc.constantFrom('9223372036854775807', '9223372036854775808', '-9223372036854775808', '18446744073709551616'),
  fc.constantFrom('2147483647', '2147483648', '128', '-129', '32768', '0.999', '9.9995', '99.005', '1.005', '12.345'),
)
const stringText = fc.oneof(
  fc.string({ unit: 'grapheme' }).map(value => JSON.stringify(value)),
  fc.string({ unit: 'binary' }).map(value => JSON.stringify(value)),
  fc.oneof(instantText, dateText, number).map(value => JSON.stringify(value)),
  fc.constantFrom(
    '"true"',
    '"null"',
    '" 12 "',
    '"\\u0041"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\/"',
    '"a\\qb"',
    '"\\""',
    '"\t"',
  ),
)
const value = fc.oneof(
  number,
  stringText,
  fc.constantFrom('true', 'false', 'null', 'True', 'nul', '', '[]', '[1,2]', '{}', '{"c":1}', '{"c":', '"', '1 2'),
)
/** Values of one kind, as a column has them, and the types that are declared for such. */
const kinds: readonly (readonly [arbitrary: fc.Arbitrary<string>, types: readonly string[]])[] = [
  [fc.integer({ min: -99, max: 99 }).map(String), ['BIGINT', 'INTEGER', 'SMALLINT', 'TINYINT', 'DECIMAL(9,0)']],
  [fc.integer({ min: -2_000_000, max: 2_000_000 }).map(n => (n / 100).toFixed(2)), ['DECIMAL(18,2)', 'DOUBLE']],
  [fc.double({ noNaN: true, noDefaultInfinity: true }).map(String), ['DOUBLE']],
  [number, ['DOUBLE', 'DECIMAL(38,14)', 'BIGINT']],
  [fc.constantFrom('true', 'false'), ['BOOLEAN']],
  [soundDate.map(date => `"${date}"`), ['TIMESTAMP', 'TIMESTAMPTZ', 'VARCHAR NOT NULL']],
  [soundDate.map(date => `"${date.slice(0, 10)}"`), ['DATE', 'VARCHAR']],
  [stringText, ['VARCHAR']],
  // What a proof that is too wide would let through.
  [fc.integer({ min: -999, max: 999 }).map(n => (n / 100).toFixed(2)), ['BIGINT', 'TINYINT', 'DECIMAL(9,0)']],
  [
    fc.tuple(soundDate, zone).map(([date, end]) => `"${date.slice(0, 19)}${end}"`),
    ['TIMESTAMP', 'TIMESTAMPTZ', 'DATE'],
  ],
  [fc.tuple(digits(17), digits(2)).map(([whole, part]) => `1${whole}.${part}`), ['DECIMAL(18,2)', 'DECIMAL(38,14)']],
]
const column = fc
  .constantFrom(...kinds)
  .chain(([values, fitting]) =>
    fc
      .oneof({ weight: 5, arbitrary: fc.constantFrom(...fitting) }, { weight: 1, arbitrary: fc.constantFrom(...types) })
      .map(type => ({ type, values })),
  )

interface Drawn {
  readonly columns: Columns
  readonly bodies: readonly string[]
}

const drawn: fc.Arbitrary<Drawn> = fc
  .record({
    one: column,
    other: column,
    names: fc.constantFrom(['a', 'b'], ['a', 'B b'], ['ü', 'a'], ['filename', 'b'], ['a.b', '$'], ['key', 'value']),
    space: fc.constantFrom('', ' ', '\t'),
    end: fc.constantFrom('\n', '\n', '\r\n', '\n\n'),
    odd: fc.constantFrom(0, 0, 0, 0.1),
    rows: fc.integer({ min: 1, max: 6 }),
    bodies: fc.integer({ min: 1, max: 4 }),
  })
  .chain(({ one, other, names, space, end, odd, rows, bodies }) => {
    const [a, b] = names as [string, string]
    const cell = (values: fc.Arbitrary<string>) =>
      fc.oneof(
        { weight: 20, arbitrary: values },
        { weight: 2, arbitrary: fc.constant('null') },
        { weight: Math.round(odd * 20), arbitrary: value },
      )
    const plain = fc
      .tuple(cell(one.values), cell(other.values), cell(other.values))
      .map(([x, y, z]) => `{"${a}":${space}${x},${space}"${b}":${space}${y},"more":${z}}`)
    const others = fc
      .tuple(value, value, fc.constantFrom(a, b, a.toUpperCase(), b.toLowerCase(), 'c'))
      .map(([x, y, name]) => `{"${b}":${x},"${name}":${y}}`)
    const line = fc.oneof(
      { weight: 20, arbitrary: plain },
      { weight: Math.round(odd * 20), arbitrary: others },
      {
        weight: Math.round(odd * 10),
        arbitrary: fc.constantFrom('{}', '', 'null', '[]', '{"a":1,}', ' {"a":1} ', '\u{feff}{}'),
      },
    )
    const body = fc
      .tuple(fc.array(line, { minLength: 1, maxLength: rows }), fc.boolean())
      .map(([lines, isEnded]) => lines.join(end) + (isEnded ? end : ''))
    return fc.array(body, { minLength: 1, maxLength: bodies }).map(all => ({
      columns: { [a]: one.type, [b]: other.type },
      bodies: all,
    }))
  })

test('what is proven is read as the checked casts read it: values, numbers of rows, what is set aside', async () => {
  await fc.assert(
    fc.asyncProperty(drawn, async ({ columns, bodies }) => {
      const shown = bodies.filter(body => shows(columns, body))
      // Those that are not proven take the others along.
      const isMixed = shown.length > 0 && shown.length < bodies.length
      for (const some of isMixed ? [bodies, shown] : [bodies]) {
        const { found, expected } = await bothWays(columns, some)
        expect(found).toEqual(expected)
      }
    }),
    runs(150),
  )
})

test('of what is drawn there, much is proven and much is not', () => {
  const shown = fc.sample(drawn, 200).flatMap(({ columns, bodies }) => bodies.map(body => shows(columns, body)))
  const proven = shown.filter(Boolean).length
  expect(proven).toBeGreaterThan(50)
  expect(shown.length - proven).toBeGreaterThan(50)
})

describe('every text beside every type', () => {
  const numbers = ['0', '-0', '7', '-7', '99', '-100', '999', '32767', '99999', '2147483648', '999999999', '1.0', '1.5']
    .concat(['123456789012345678', '9223372036854775807', '-9223372036854775808', '18446744073709551616', '00', '+1'])
    .concat([
      '-0.0',
      '-0.00',
      '-0.5',
      '0.30',
      '-0.01',
      '12.34',
      '12.345',
      '1.005',
      '9.9995',
      '0.1',
      '0.999',
      '1.',
      '.5',
    ])
    .concat(['999999999999.99', '123456789012345.25', '9999999999999999.99', '0.1234567890123456789', '1e2', '1E-2'])
    .concat(['1e400', '5e-324', 'NaN', '-Infinity', '1_000', '0x1F', 'true', 'false', 'null', 'True'])
  const dates = ['2024-02-28', '2024-02-29', '2023-02-29', '1900-02-29', '2024-04-31', '2024-01-31', '2024-00-10']
    .concat([
      '0000-01-01',
      '0999-12-31',
      '1000-01-01',
      '1582-10-10',
      '9999-12-31',
      '12024-01-01',
      '2024-1-1',
      '20240131',
    ])
    .concat(['2024-01-31T23:59:59', '2024-01-31 23:59:59.123456Z', '2024-01-31T23:59:60', '2024-01-31T24:00:00'])
    .concat(['2024-01-31T12:00:00+02:00', '2024-01-31T12:00', '2024-01-31T12:00:00.1234567', '2024-01-31T12:00:00z'])
    .concat(['2024-01-31t12:00:00', '2024-01-31T12:00:00,5', '2024-01-31T12:00:00.5 UTC', '2024-02-28T00:00:00.100'])
    .concat(['1000-01-01T00:00:00', '1500-03-01T00:00:00', '1582-10-10T12:00:00Z', '9999-12-31T23:59:59.999999'])
  const strings = ['x', '', '7', '1.5', 'true', 'TRUE', 'null', 'NaN', 'epoch', 'infinity', ' x ', 'a,b}', '{}', '[1]']
  const raw = ['"\\n\\"\\\\\\/"', '"\\u0041"', '"\\u0000"', '"\\ud83d\\ude00"', '"\u00fc"', '"\u{1f600}"', '"\u007f"']
  const values = [
    ...numbers,
    ...[...dates, ...strings].map(one => JSON.stringify(one)),
    ...raw,
    '[1]',
    '[]',
    '{}',
    '{"x":1}',
    '',
  ]

  test.each(types)('%s', async type => {
    const bodies = values.map(one => `{"a":${one}}\n{"a":${one}}\n`)
    const shown = bodies.filter(body => shows({ a: type }, body))
    const isNever = /^(FLOAT|UUID|BLOB|JSON|DECIMAL\(2,2\))|\[\]/.test(type)
    expect(shown.length > 0).toBe(!isNever)
    // What is not proven goes the same way on both sides.
    const { proven, found, expected } = await bothWays({ a: type }, shown)
    expect(proven).toEqual(shown.map(() => true))
    expect(found).toEqual(expected)
    for (const [index, { reason, aside }] of expected.entries())
      expect({ reason, aside }, shown[index]).toEqual({ reason: null, aside: [] })
  })
})

test('a file that is written to after it was proven is read as the checked casts read it', async () => {
  const late = (format: Format): Format => ({
    ...format,
    async ready(object) {
      const ready = await format.ready(object)
      expect(ready).toMatchObject({ is: 'ready', provenFields: expect.any(Array) })
      await appendFile(object.file, '{"a":"x"}\n')
      return ready
    },
  })
  const { readProven: _, ...strict } = jsonFormat
  const objects = { a: '{"a":1}\n', b: '{"a":2}\n' }
  const found = await reader.read(late(jsonFormat), { a: 'BIGINT' }, objects)
  expect(found).toEqual(await reader.read(late(strict), { a: 'BIGINT' }, objects))
  expect(found.map(({ rows, aside }) => [rows.length, aside.length])).toEqual([
    [1, 1],
    [1, 1],
  ])
})

describe('a prover of many files', () => {
  const columns = { a: 'BIGINT', b: 'DECIMAL(18,2)' }
  const declared = Object.entries(columns).map(([name, type]) => ({
    name,
    from: name,
    type: parseColumnType(type, name),
  }))
  const shown = (bodies: readonly string[]) => {
    const prover = createProver(declared)
    return bodies.map(body => {
      const proof = prover?.()
      return proof?.shows(Buffer.from(body)) ? proof.names : null
    })
  }

  test('learns each form of line, and knows it again', () => {
    const forms = Array.from({ length: 12 }, (_, index) => `{"a":1,"b":2,"x${index}":3}\n`)
    const bodies = [...forms, ...forms.toReversed(), '{"b":2}\n', '{"a":1}\n{"b":2}\n', '{"a": 1}\n', '{"a":1}\n']
    const wanted = forms.map((_, index) => ['a', 'b', `x${index}`])
    expect(shown(bodies)).toEqual([...wanted, ...wanted.toReversed(), ['b'], null, ['a'], ['a']])
  })

  test('shows of a file what it shows of it alone, whatever came before', () => {
    const line = fc.record({
      fields: fc.shuffledSubarray(['"a"', '"b"', '"c"', '"é"', '"A"'], { minLength: 1 }),
      colon: fc.constantFrom(':', ': ', ' :'),
      value: fc.constantFrom('1', '-0', '123456789012345678', '"x"', 'null', '1.25', '{}'),
    })
    const body = fc
      .array(line, { minLength: 1, maxLength: 3 })
      .map(lines =>
        lines.map(({ fields, colon, value }) => `{${fields.map(f => f + colon + value).join(',')}}\n`).join(''),
      )
    fc.assert(
      fc.property(fc.array(body, { minLength: 2, maxLength: 12 }), bodies => {
        expect(shown(bodies)).toEqual(bodies.map(alone => shown([alone])[0]))
      }),
      runs(200),
    )
  })

  test('learns a line of the longest numbers that fit', () => {
    expect(shown(['{"a":123456789012345678,"b":-1234567890123.25}\n'])).toEqual([['a', 'b']])
    expect(shown(['{"a":1234567890123456789,"b":1}\n'])).toEqual([null])
  })
})

describe('what is not proven', () => {
  const column = { name: 'a', from: 'a', type: parseColumnType('BIGINT', 'a') }
  const shown = (lines: string | Buffer, more = {}) =>
    createProver([{ ...column, ...more }])?.().shows(Buffer.from(lines as string))

  test.each([
    ['plain lines', '{"a":1,"b":"x"}\n{"a":null,"b":2.5}\n', true],
    ['no line feed at the end', '{"a":1}\n{"a":2}', true],
    ['a field fewer', '{"a":1,"b":1}\n{"a":1}\n', false],
    ['a field more', '{"a":1}\n{"a":1,"b":1}\n', false],
    ['another order', '{"a":1,"b":1}\n{"b":1,"a":1}\n', false],
    ['the same name twice', '{"a":1,"a":2}\n', false],
    ['a name in other letters', '{"A":1}\n', false],
    ['a name with an escape', '{"\\u0061":1}\n', false],
    ['a value that is nested', '{"a":1,"b":{"a":2}}\n', false],
    ['blank lines', '{"a":1}\n\n{"a":2}\n', false],
    ['two objects on a line', '{"a":1}{"a":2}\n', false],
    ['a line that is cut off', '{"a":1}\n{"a":', false],
    ['a comma too many', '{"a":1,}\n', false],
    ['bytes that are no UTF-8', Buffer.from([...Buffer.from('{"a":1,"b":"'), 0xff, ...Buffer.from('"}\n')]), false],
    ['a control character', '{"a":1,"b":"\u0001"}\n', false],
  ])('%s', (_, lines, expected) => {
    expect(shown(lines)).toBe(expected)
  })

  test('a column that may not lack', () => {
    expect(shown('{"b":1}\n')).toBe(true)
    expect(shown('{"b":1}\n', { ifMissing: '7' })).toBe(false)
    expect(shown('{"b":1}\n', { type: parseColumnType('BIGINT NOT NULL', 'a') })).toBe(false)
    expect(shown('{"a":null}\n', { type: parseColumnType('BIGINT NOT NULL', 'a') })).toBe(false)
  })

  test.each([
    [200, true],
    [201, false],
    [3000, false],
  ])('%i fields on a line', (fields, expected) => {
    const line = Array.from({ length: fields }, (_, index) => `"${index === 0 ? 'a' : index}":1`).join(',')
    expect(shown(`{${line}}\n`)).toBe(expected)
  })

  test('a piece too long to remember', () => {
    const line = `{"a":1,"b":"${'x'.repeat(1000)}"}\n`
    expect(shown(line.repeat(1000))).toBe(true)
    expect(shown(line.repeat(1100))).toBe(false)
  })
})
