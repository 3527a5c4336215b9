import { describe, expect, test } from 'vitest'
import { instantUs, keyPeriod } from '../../src/plan/key-period.ts'

const us = (iso: string) => BigInt(Date.parse(iso)) * 1000n

/** The period as ISO 8601, or undefined. */
function periodOf(pattern: string, key: string): readonly [string, string] | undefined {
  const period = keyPeriod(pattern, 'bounds')(key)
  const iso = (at: bigint) => new Date(Number(at / 1000n)).toISOString().replace(':00.000Z', '')
  return period && [iso(period.startUs), iso(period.endUs)]
}

describe('a pattern reads the period that a key names, UTC, the finest token giving its length (S3, S7)', () => {
  test.each([
    ['green_tripdata_{yyyy}-{MM}', 'green_tripdata_2022-01.parquet', '2022-01-01T00:00', '2022-02-01T00:00'],
    ['green_tripdata_{yyyy}-{MM}', 'a/b/green_tripdata_2022-12.parquet', '2022-12-01T00:00', '2023-01-01T00:00'],
    ['{yyyy}', 'x2024y.json', '2024-01-01T00:00', '2025-01-01T00:00'],
    ['{yyyy}-{MM}-{dd}', '2024-02-28', '2024-02-28T00:00', '2024-02-29T00:00'],
    ['{yyyy}-{MM}-{dd}', '2024-02-29', '2024-02-29T00:00', '2024-03-01T00:00'],
    ['{yyyy}{MM}{dd}T{HH}', 'hits-20221231T23.jsonl', '2022-12-31T23:00', '2023-01-01T00:00'],
    ['year={yyyy}/month={MM}/', 'year=2022/month=07/part-0.parquet', '2022-07-01T00:00', '2022-08-01T00:00'],
    // Tokens in any order, and one that stands twice must agree.
    ['{MM}-{yyyy}', '07-2022', '2022-07-01T00:00', '2022-08-01T00:00'],
    ['{yyyy}/{yyyy}-{MM}', '2022/2022-07', '2022-07-01T00:00', '2022-08-01T00:00'],
    // The first place that matches counts.
    ['{yyyy}-{MM}', '2022-01_to_2022-03', '2022-01-01T00:00', '2022-02-01T00:00'],
    // Signs of regular expressions mean themselves.
    ['a.b(c)[{yyyy}]+$', 'xa.b(c)[2022]+$', '2022-01-01T00:00', '2023-01-01T00:00'],
    // Years below 100 are not those of the last century.
    ['{yyyy}', '0099', '0099-01-01T00:00', '0100-01-01T00:00'],
    ['{yyyy}', '9999', '9999-01-01T00:00', '+010000-01-01T00:00'],
  ])('%s on %s', (pattern, key, start, end) => {
    expect(periodOf(pattern, key)).toEqual([start, end])
  })
})

describe('a key without a period has none; nothing rolls over', () => {
  test.each([
    ['green_tripdata_{yyyy}-{MM}', 'readme.parquet'],
    ['green_tripdata_{yyyy}-{MM}', 'green_tripdata_22-01.parquet'],
    ['green_tripdata_{yyyy}-{MM}', 'Green_tripdata_2022-01.parquet'],
    ['{yyyy}-{MM}', '2022-13'],
    ['{yyyy}-{MM}', '2022-00'],
    ['{yyyy}-{MM}-{dd}', '2022-02-29'],
    ['{yyyy}-{MM}-{dd}', '2022-04-31'],
    ['{yyyy}-{MM}-{dd}', '2022-04-00'],
    ['{yyyy}-{MM}-{dd}T{HH}', '2022-04-01T24'],
    ['{yyyy}/{yyyy}-{MM}', '2021/2022-07'],
    ['a.b{yyyy}', 'axb2022'],
    ['{yyyy}', '２０２２'],
  ])('%s on %s', (pattern, key) => {
    expect(periodOf(pattern, key)).toBeUndefined()
  })
})

describe('a pattern that can name no period is refused', () => {
  test.each(['', 'trips', '{MM}', '{yyyy}-{dd}', '{yyyy}-{MM} {HH}'])('%j', pattern => {
    expect(() => keyPeriod(pattern, 'source trips: watermark.bounds')).toThrow(
      `source trips: watermark.bounds: '${pattern}' is not valid; expected a key pattern with {yyyy}, then also {MM}, {dd}, {HH} as needed, such as 'trips_{yyyy}-{MM}'.`,
    )
  })

  test.each(['{yyyy}-{mm}', '{YYYY}', '{yyyy}-{}', '{yyyy}-{MM}-{dd}T{HH}:{ss}'])('%j', pattern => {
    expect(() => keyPeriod(pattern, 'bounds')).toThrow(
      `bounds: '${pattern}' is not valid; expected only the tokens {yyyy}, {MM}, {dd}, {HH}.`,
    )
  })
})

describe('an instant of --from and --to', () => {
  test.each([
    ['2022', '2022-01-01T00:00:00Z'],
    ['2022-07', '2022-07-01T00:00:00Z'],
    ['2022-07-15', '2022-07-15T00:00:00Z'],
    ['2022-07-15T06:30', '2022-07-15T06:30:00Z'],
    ['2022-07-15T06:30Z', '2022-07-15T06:30:00Z'],
    ['2022-07-15 06:30:15', '2022-07-15T06:30:15Z'],
    ['2022-07-15T06:30:15Z', '2022-07-15T06:30:15Z'],
    ['1969-12-31', '1969-12-31T00:00:00Z'],
    ['2024-02-29', '2024-02-29T00:00:00Z'],
  ])('%s is %s', (text, expected) => {
    expect(instantUs(text, '--from')).toBe(us(expected))
  })

  test.each([
    '',
    '22',
    '2022-1',
    '2022-13',
    '2022-00',
    '2023-02-29',
    '2022-04-31',
    '2022-07-15T25:00',
    '2022-07-15T06',
    '2022-07-15T06:30+02:00',
    'yesterday',
    '2022-07-15T06:61',
  ])('%j is none', text => {
    expect(() => instantUs(text, '--from')).toThrow(
      `--from: '${text}' is not valid; expected a UTC date such as '2022-01', '2022-01-15' or '2022-01-15T06:00:00Z'.`,
    )
  })
})
