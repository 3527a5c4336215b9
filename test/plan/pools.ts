import { text } from '../../src/plan/sql.ts'

const zones = ['2024-07-01 02:30:00 Europe/Berlin', '2024-07-01 05:00:00', '2024-07-01 05:00:00 Asia/Tokyo']
const times = [
  ...zones,
  '2024-07-01T05:00:00',
  '2024-07-01 05:00:00+02',
  '2024-07-01 05:00:00Z',
  '2024-07-01',
  'infinity',
]
const texts = [
  'x'.repeat(3000),
  `["${zones[0]}", "${zones[1]}"]`,
  `[${zones[0]}, ${zones[1]}]`,
  `{a: ${zones[0]}}`,
  ...'|a|abc|  x |Ä😀e\u0301|05:00:00 Asia/Tokyo|12:30:00|12:30:00+05|epoch|Europe/Berlin|Asia/Tokyo|UTC|timezone'.split(
    '|',
  ),
  ...'1.5|-12|1e400|NaN|-infinity|true|null|"x"|[1, 2]|{"a": 1}|{a: 1}|{}|QUJD|4142|1010|\\xAA|1 KiB|10%'.split('|'),
  ...'day|hour|week|1 day|[a-z|^a.*(b)?|%Y-%m-%d|a%|a/b\\c|$.a|%d|{:d}|i|g|sum|http://a.b/c?d=e'.split('|'),
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
]
const instants = ['2024-07-01 12:00:00', '1970-01-01 00:00:00', '2024-03-31 01:30:00', '1883-11-18 12:00:00']
const farInstants = [
  '0001-01-01 00:00:00',
  '-infinity',
  'infinity',
  '290000-01-01 00:00:00',
  '2024-10-27 01:30:00.123456',
]
export const enumType = `ENUM(${['a', ...zones].map(text).join(', ')})`
const farTimes = ['290309-12-22 (BC) 00:00:00', '294247-01-10 04:00:54.775806']
const literals = (values: readonly string[]) => values.map(text)
const integers = (min: bigint, max: bigint) => literals([0n, 1n, 2n, 3n, 7n, 10n, min, max].map(String))
const signed = (bits: bigint) => integers(-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n)
const unsigned = (bits: bigint) => integers(0n, 2n ** bits - 1n)

/** SQL of values by type, each cast to it. Zones of which one would be kept for the texts after it come often. */
export const pools: Readonly<Record<string, readonly string[]>> = {
  VARCHAR: [...Array(6).fill(literals(times)).flat(), ...literals(texts), 'chr(0)'],
  BOOLEAN: ['true', 'false'],
  TINYINT: signed(8n),
  SMALLINT: signed(16n),
  INTEGER: signed(32n),
  BIGINT: signed(64n),
  HUGEINT: signed(128n),
  UTINYINT: unsigned(8n),
  USMALLINT: unsigned(16n),
  UINTEGER: unsigned(32n),
  UBIGINT: unsigned(64n),
  UHUGEINT: unsigned(128n),
  FLOAT: literals(['0', '-0.0', '1.5', 'nan', 'inf', '-inf', '3.4e38', '1e-45', '2']),
  DOUBLE: literals(['0', '-0.0', '1.5', 'nan', 'inf', '-inf', '1.7976931348623157e308', '5e-324', '0.1', '-3.7']),
  'DECIMAL(18,2)': literals(['0', '1.50', '-9999999999999999.99', '9999999999999999.99', '12.35']),
  'DECIMAL(38,10)': literals(['0', '1.5', '-9999999999999999999999999999.9999999999', '2']),
  BLOB: ["'\\x00\\xFF'", "''", "encode('abc')", "encode('QUJD')", `encode('${'y'.repeat(2000)}')`],
  BIT: literals(['1', '0', '10101', '1'.repeat(200)]),
  UUID: literals(['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '018f5b6e-7d5f-7000-8000-000000000000']),
  DATE: literals([
    '2024-07-01',
    '0001-01-01',
    '5000000-01-01',
    'infinity',
    '-infinity',
    '2024-02-29',
    '0044-03-15 (BC)',
    '5877642-06-25 (BC)',
    '5881580-07-10',
  ]),
  TIME: literals(['00:00:00', '12:30:00.123456', '23:59:59.999999', '24:00:00']),
  TIME_NS: literals(['00:00:00', '12:30:00.123456789']),
  'TIME WITH TIME ZONE': literals(['00:00:00+00', '12:30:00+05', '23:59:59.999999-08']),
  TIMESTAMP: literals([...instants, ...farInstants, ...farTimes]),
  TIMESTAMP_S: literals([...instants, '290309-12-22 (BC) 00:00:00', '294247-01-10 04:00:54']),
  TIMESTAMP_MS: literals([...instants, ...farTimes]),
  TIMESTAMP_NS: literals([
    ...instants,
    '2024-07-01 12:00:00.123456789',
    'infinity',
    '1677-09-22 00:00:00',
    '2262-04-11 23:47:16.854775806',
  ]),
  'TIMESTAMP WITH TIME ZONE': [
    ...literals([...instants, ...farInstants]),
    'make_timestamptz(-9223372022400000000)',
    'make_timestamptz(9223372036854775806)',
  ],
  INTERVAL: literals(['1 day', '3 months', '-1 year 2 days 3 hours', '0 seconds', '1 microsecond', '100000 years']),
  JSON: literals([
    ...'{"a": 1, "b": [1, 2, {"c": "x"}]}|[1, "a", null]|1.5|null|{}|[]'.split('|'),
    ...zones.flatMap(zone => [`"${zone}"`, `["${zone}"]`, `{"a": "${zone}"}`]),
  ]),
  'INTEGER[]': ['[]', '[1, 2, 3]', '[3, NULL, 1, 1]', '[NULL]', 'range(30)'],
  'BIGINT[]': ['[]', '[1, 2]', '[-1, NULL, 3]', '[2, 1]'],
  'VARCHAR[]': [
    '[]',
    "['a', 'b']",
    `[${text(zones[0] ?? '')}]`,
    `[${text(zones[1] ?? '')}, NULL]`,
    `[${text(zones[1] ?? '')}]`,
  ],
  'DOUBLE[]': ['[]', '[0, -0.0]', '[-0.0, 0, 1]', '[1.5, 2]', "['nan', NULL, '0']", '[0.1, 0.2]'],
  'FLOAT[]': ['[]', '[1.5, 2]', '[0.1, 0.2]', '[NULL, 1]'],
  'BOOLEAN[]': ['[]', '[true, false]', '[NULL, true]'],
  'TIMESTAMP WITH TIME ZONE[]': ['[]', `['${instants[0]}', NULL]`, `['${instants[0]}', '${instants[1]}']`],
  'DOUBLE[3]': ['[1, 2, 3]', '[0, 0, 0]', '[-1, 0.5, 2]', '[-1, NULL, 2]'],
  'FLOAT[3]': ['[1, 2, 3]', '[0, 0, 0]', '[-1, 0.5, 2]', '[NULL, 0.5, 2]'],
  'VARCHAR[2]': ["['a', 'b']", `[${text(zones[0] ?? '')}, ${text(zones[1] ?? '')}]`],
  'INTEGER[][]': ['[[1], [2, 3]]', '[]', '[[], NULL, [NULL]]'],
  'STRUCT(a INTEGER, b VARCHAR)': zones.map((zone, a) => `{'a': ${a}, 'b': ${text(zone)}}`),
  'STRUCT(k VARCHAR, v INTEGER)[]': ["[{'k': 'a', 'v': 1}]", "[{'k': 'b', 'v': 1}, {'k': 'c', 'v': NULL}]", '[]'],
  'STRUCT("year" BIGINT, "month" BIGINT, "day" BIGINT)': ["{'year': 2024, 'month': 7, 'day': 1}"],
  'MAP(VARCHAR, INTEGER)': ["MAP {'a': 1, 'b': 2}", "MAP {'a': NULL}", "MAP {'2024-07-01': 3}"],
  [enumType]: literals(['a', ...zones]),
  'UNION(i INTEGER, s VARCHAR)': ['union_value(i := 1)', ...zones.map(zone => `union_value(s := ${text(zone)})`)],
  VARIANT: ['1', "{'a': 1}", ...literals(zones)],
  GEOMETRY: ["'POINT(1 2)'", "'LINESTRING(0 0, 1 1)'"],
  BIGNUM: [`'${'123456789'.repeat(9)}'`, "'-1'", "'0'"],
}
