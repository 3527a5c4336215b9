import { describe, expect, test } from 'vitest'
import { json } from '../../connectors/json/spec.ts'
import { parseKeyPattern, objectFacts, keyTime } from '../../src/plan/object-facts.ts'
import { defineSource } from '../../src/plan/source.ts'
import { expectConfigError } from '../operators/flow.ts'

const settingsOf = (columns: object, more: object = {}) =>
  defineSource('in', {
    objects: 'in',
    format: json(),
    columns: { t: 'TIMESTAMP', ...columns },
    time: 't',
    ...more,
  } as never).settings
const version = (key: string) => ({ bucket: 'b', key, eTag: 'e', sizeBytes: 5, lastModifiedMs: 1_700_000_000_123.9 })
const factOf = (key: string, declared = 'VARCHAR FROM KEY', more: object = {}) =>
  objectFacts(settingsOf({ dt: declared }, more))(version(key)).get('dt')

describe('a value of the key', () => {
  test.each([
    ['dt=2024-03-31/a.json', '2024-03-31'],
    ['x/DT=2024-03-31/hour=5/a.json', '2024-03-31'],
    ['DT=1/dt=2/a.json', '2'],
    ['dt=2024-03-31 05%3A00%3A00/a.json', '2024-03-31 05:00:00'],
    ['dt=50%/a.json', '50%'],
    ['dt=a=b/a.json', 'a=b'],
    ['dt=/a.json', ''],
    ['dt=__HIVE_DEFAULT_PARTITION__/a.json', null],
    ['a.json', { missing: "its key has no folder 'dt=...'" }],
    ['my_dt=1/a.json', { missing: "its key has no folder 'dt=...'" }],
    ['x/dt=1', { missing: "its key has no folder 'dt=...'" }],
    ['dt=1/dt=2/a.json', { missing: "its key has more than one folder 'dt=...'" }],
  ])('is that of a folder: %s', (key, fact) => {
    expect(factOf(key)).toEqual(fact)
  })

  test('or its default, where the key has none', () => {
    expect(factOf('a.json', "VARCHAR DEFAULT 'x' FROM KEY")).toBe('x')
    expect(factOf('a.json', 'VARCHAR DEFAULT NULL FROM KEY')).toBe(null)
    expect(factOf('dt=__HIVE_DEFAULT_PARTITION__/a.json', "VARCHAR DEFAULT 'x' FROM KEY")).toBe(null)
  })

  test.each([
    ['trips_{dt}.json', 'x/trips_2024-03-31.json', '2024-03-31'],
    ['trips_{dt}.json', 'x/my_trips_2024-03-31.json', undefined],
    ['{dt}/*', 'x/2024-03-31/a.json', '2024-03-31'],
    ['{dt}_*.json', '2024_03_31.json', '2024'],
    ['{dt}/*/*', '2024/a.json', undefined],
    ['a.b_{dt}', 'axb_5', undefined],
    ['a.b_{dt}', 'a.b_5', '5'],
  ])('is in the place of a pattern of the end of the key: %s in %s', (keyPattern, key, value) => {
    expect(factOf(key, 'VARCHAR FROM KEY', { keyPattern })).toEqual(
      value ?? { missing: `its key does not fit keyPattern '${keyPattern}'` },
    )
  })

  test('a folder gives what the pattern does not name', () => {
    const settings = settingsOf({ dt: 'DATE FROM KEY', region: 'VARCHAR FROM KEY' }, { keyPattern: '{region}.json' })
    expect([...objectFacts(settings)(version('dt=2024-01-01/eu.json'))]).toEqual([
      ['dt', '2024-01-01'],
      ['region', 'eu'],
    ])
  })

  test.each([
    ['trips.json', "text with names in braces, such as '{region}/trips_{dt}.parquet'"],
    ['{}.json', "text with names in braces, such as '{region}/trips_{dt}.parquet'"],
    ['{dt}_{dt}', "text with names in braces, such as '{region}/trips_{dt}.parquet', each name once"],
    ['{dt}{region}', "text with names in braces, such as '{region}/trips_{dt}.parquet', with text between two names"],
    ['{dt}*', "text with names in braces, such as '{region}/trips_{dt}.parquet', with text between two names"],
  ])('a pattern that names nothing, or leaves open what, is refused: %s', (pattern, expected) => {
    expectConfigError(() => parseKeyPattern(pattern, 'keyPattern'), 'keyPattern', `'${pattern}'`, expected)
  })

  test('a name of the pattern is a column FROM KEY', () => {
    expectConfigError(
      () => settingsOf({ day: 'DATE FROM KEY' }, { keyPattern: '{dya}/*' }),
      'source in: keyPattern',
      "'{dya}/*'",
      "a column for {dya}, such as dya: 'VARCHAR FROM KEY', or * in its place; did you mean {day}?",
    )
  })

  test('a list is none', () => {
    expectConfigError(
      () => settingsOf({ dt: 'DATE[] FROM KEY' }),
      'source in: columns.dt',
      "'DATE[] FROM KEY'",
      'a type that is no list',
    )
  })
})

describe('FROM META', () => {
  test('gives what the ledger has of an object: milliseconds are whole', () => {
    const settings = settingsOf({
      object_key: 'VARCHAR FROM META',
      object_bucket: 'VARCHAR FROM META',
      object_size: 'BIGINT FROM META',
      object_last_modified: 'TIMESTAMP NOT NULL FROM META',
    })
    expect([...objectFacts(settings)(version('x/a.json'))]).toEqual([
      ['object_key', 'x/a.json'],
      ['object_bucket', 'b'],
      ['object_size', '5'],
      ['object_last_modified', '2023-11-14T22:13:20.123Z'],
    ])
  })

  const names = 'object_key, object_bucket, object_size, object_last_modified'
  test.each([
    [
      { object_kay: 'VARCHAR FROM META' },
      'object_kay',
      `one of the columns that are there FROM META: ${names}; did you mean object_key?`,
    ],
    [{ size: 'BIGINT FROM META' }, 'size', `one of the columns that are there FROM META: ${names}`],
  ])('knows four columns: %j', (columns, name, expected) => {
    expectConfigError(() => settingsOf(columns), `source in: columns.${name}`, `'${name}'`, expected)
  })

  test('takes types that hold every value', () => {
    expectConfigError(
      () => settingsOf({ object_size: 'INTEGER FROM META' }),
      'source in: columns.object_size',
      "'INTEGER FROM META'",
      'BIGINT or UBIGINT or VARCHAR',
    )
  })
})

describe('the time of a key', () => {
  const day = 86_400_000_000n
  test('is the period of bounds, else the only time FROM KEY', () => {
    const ofColumn = keyTime(settingsOf({ dt: 'DATE FROM KEY', region: 'VARCHAR FROM KEY' }))
    expect(ofColumn?.of).toBe('column')
    expect(ofColumn?.period('dt=1970-01-02/region=x/a')).toEqual({ startUs: day })
    expect(ofColumn?.period('dt=__HIVE_DEFAULT_PARTITION__/a')).toBeUndefined()
    expect(ofColumn?.period('a')).toBeUndefined()
    const watermark = { delay: '1 day', bounds: 'x_{yyyy}' }
    expect(keyTime(settingsOf({ dt: 'DATE FROM KEY' }, { watermark }))?.of).toBe('bounds')
  })

  test('is not known where no column, or more than one, says it', () => {
    expect(keyTime(settingsOf({ region: 'VARCHAR FROM KEY' }))).toBeUndefined()
    expect(keyTime(settingsOf({ a: 'DATE FROM KEY', b: 'DATE FROM KEY' }))).toBeUndefined()
  })
})
