import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { decodeFooter, footerStart, readFooter } from '../../connectors/parquet/footer.ts'
import { localNanos } from '../../connectors/parquet/utc-nanos.ts'
import { name } from '../engine/harness.ts'
import { readParquet } from './reading.ts'

// Written by pyarrow, an independent writer: see write.py beside the files. The third row of each column is NULL.
const folder = join(import.meta.dirname, 'parquet-types')
const types = join(folder, 'types.parquet')
const int96 = join(folder, 'int96.parquet')

/** Values of one column, one a row; misfits as '! expected: found'; or why the object is a bad one. */
async function read(path: string, column: string, declared: string): Promise<readonly unknown[] | string> {
  const { reason, rows, aside } = await readParquet(path, { [column]: declared })
  if (reason !== null) return reason
  return [...rows.map(row => row[column]), ...aside.map(row => `! ${String(row.found)}`)]
}

const second = 1_640_995_200_000_000n
const nil = '00000000-0000-0000-0000-000000000000'

describe('what pyarrow writes is read as what can be declared (S17)', () => {
  test.each<[string, string, readonly unknown[]]>([
    // Times are microseconds since 1970, whatever the unit and whether adjusted to UTC.
    ['ts_s', 'TIMESTAMP', [`${second}`, `${second + 1_000_000n}`, null, '-1000000']],
    ['ts_ms', 'TIMESTAMP', [`${second + 1000n}`, `${second + 2000n}`, null, '-1000']],
    ['ts_ms', 'TIMESTAMPTZ', [`${second + 1000n}`, `${second + 2000n}`, null, '-1000']],
    ['ts_us', 'TIMESTAMP', [`${second + 1n}`, `${second + 2n}`, null, '-1']],
    ['ts_ms_utc', 'TIMESTAMPTZ', [`${second + 1000n}`, `${second + 2000n}`, null, '-1000']],
    ['ts_us_utc', 'TIMESTAMP', [`${second + 1n}`, `${second + 2n}`, null, '-1']],
    // 123 nanoseconds are no microseconds: a misfit by value, in UTC as well, where DuckDB alone would cut them.
    ['ts_ns', 'TIMESTAMP', [`${second + 1n}`, null, '-1', '! 2022-01-01 00:00:00.000000123']],
    ['ts_ns', 'TIMESTAMPTZ', [`${second + 1n}`, null, '-1', '! 2022-01-01 00:00:00.000000123']],
    ['ts_ns_utc', 'TIMESTAMP', [`${second + 1n}`, null, '-1', '! 2022-01-01 00:00:00.000000123']],
    ['ts_ns_utc', 'TIMESTAMPTZ', [`${second + 1n}`, null, '-1', '! 2022-01-01 00:00:00.000000123']],
    ['date', 'DATE', ['19023', '-1', null, '2932896']],
    ['date', 'TIMESTAMP', [`${19023n * 86_400_000_000n}`, '-86400000000', null, `${2_932_896n * 86_400_000_000n}`]],
    ['time_ms', 'VARCHAR', ['00:00:00.001', '23:59:59.999', null, '00:00:00']],
    ['time_us', 'VARCHAR', ['00:00:00.000001', '23:59:59.999999', null, '00:00:00']],
    ['time_ns', 'VARCHAR', ['00:00:00.000001', '23:59:59.999999123', null, '00:00:00']],
    ['uuid', 'UUID', [nil.replace(/0$/, '1'), nil.replaceAll('0', 'f'), null, nil]],
    ['uuid', 'VARCHAR', [nil.replace(/0$/, '1'), nil.replaceAll('0', 'f'), null, nil]],
    ['f16', 'FLOAT', ['1.5', 'nan', null, '-0.0']],
    ['f16', 'DOUBLE', ['1.5', 'nan', null, '-0.0']],
    ['u8', 'SMALLINT', ['0', '255', null, '1']],
    ['u16', 'INTEGER', ['0', '65535', null, '1']],
    ['u32', 'BIGINT', ['0', '4294967295', null, '1']],
    ['u32', 'INTEGER', ['0', null, '1', '! 4294967295']],
    ['u64', 'UBIGINT', ['0', '18446744073709551615', null, '1']],
    ['u64', 'DECIMAL(38,0)', ['0', '18446744073709551615', null, '1']],
    ['u64', 'BIGINT', ['0', null, '1', '! 18446744073709551615']],
    ['i8', 'TINYINT', ['-128', '127', null, '1']],
    ['i16', 'SMALLINT', ['-32768', '32767', null, '1']],
    ['i32', 'INTEGER', ['-2147483648', '2147483647', null, '1']],
    ['i64', 'BIGINT', ['-9223372036854775808', '9223372036854775807', null, '1']],
    ['i64', 'DOUBLE', ['-9.223372036854776e+18', null, '1.0', '! 9223372036854775807']],
    ['dec9', 'DECIMAL(9,2)', ['1234567.89', '-0.01', null, '0.00']],
    ['dec9', 'DECIMAL(18,1)', [null, '0.0', '! 1234567.89', '! -0.01']],
    ['dec18', 'DECIMAL(18,2)', ['1234567890123456.78', '-0.01', null, '0.00']],
    ['dec38', 'DECIMAL(38,3)', ['99999999999999999999999999999999999.999', '-0.001', null, '0.000']],
    ['dec38', 'VARCHAR', ['99999999999999999999999999999999999.999', '-0.001', null, '0.000']],
    ['bool', 'BOOLEAN', ['true', 'false', null, 'true']],
    ['text', 'VARCHAR', ['a', 'é', null, '']],
    ['bin', 'BLOB', ['00ff', '', null, '61']],
    ['fix', 'BLOB', ['616263', '000102', null, '78797a']],
    ['dict', 'VARCHAR', ['x', 'y', null, 'x']],
    ['dur', 'BIGINT', ['1', '2', null, '3']],
    ['null', 'TIMESTAMP', [null, null, null, null]],
    ['list', 'BIGINT[]', ['[1,null]', '[]', null, '[3]']],
    ['declist', 'DOUBLE[]', ['[1.25]', '[]', null, '[2.0,null]']],
    ['listlist', 'JSON', ['[[1],[]]', '[]', null, '[[2,null]]']],
    ['struct', 'JSON', ['{"a":1,"b":"x"}', '{"a":null,"b":null}', null, '{"a":3,"b":"z"}']],
    ['structlist', 'JSON', ['[{"a":1,"b":["p","q"]}]', '[]', null, '[{"a":3,"b":null}]']],
    ['map', 'JSON', ['{"k":1}', '{}', null, '{"a":2,"b":null}']],
    // A field of a struct, in any case; NULL where the struct is.
    ['struct.a', 'BIGINT', ['1', null, null, '3']],
    ['STRUCT.B', 'VARCHAR', ['x', null, null, 'z']],
  ])('%s as %s', async (column, declared, expected) => {
    expect(await read(types, column, declared)).toEqual(expected)
  })

  test('INT96 is a time; below a microsecond it is cut, as DuckDB reads it', async () => {
    expect(await read(int96, 'a', 'TIMESTAMP')).toEqual([`${second + 1n}`, `${second}`, null, '-1'])
    expect(await read(int96, 'far', 'TIMESTAMP')).toEqual([
      `${second}`,
      '253402300799000000',
      null,
      '-62135596800000000',
    ])
  })
})

describe('what cannot be declared so says what can (S17)', () => {
  test.each([
    ['dec45', 'DECIMAL(38,5)', "column 'dec45' is DECIMAL(45,5); DECIMAL has at most 38 digits here"],
    ['dec45', 'DOUBLE', "column 'dec45' is DECIMAL(45,5)"],
    ['time_us', 'TIMESTAMP', "column 'time_us': TIME can never be read as TIMESTAMP; it can be declared as VARCHAR"],
    ['uuid', 'BIGINT', "column 'uuid': UUID can never be read as BIGINT; it can be declared as UUID, VARCHAR"],
    [
      'date',
      'DOUBLE',
      "column 'date': DATE can never be read as DOUBLE; it can be declared as DATE, VARCHAR, TIMESTAMP, TIMESTAMPTZ",
    ],
    ['i64', 'TIMESTAMP', "column 'i64': BIGINT can never be read as TIMESTAMP; declare BIGINT and derive the time"],
    ['list', 'BIGINT', "column 'list': INTEGER[] can never be read as BIGINT; declare JSON or INTEGER[]"],
    ['listlist', 'BIGINT[]', "column 'listlist': BIGINT[][] can never be read as BIGINT[]"],
    ['map', 'VARCHAR', "column 'map': MAP(VARCHAR, INTEGER) can never be read as VARCHAR; declare JSON"],
    ['struct', 'VARCHAR', "declare JSON, or one of its fields by a name such as 'struct.field'"],
    ['struct.c', 'BIGINT', "column 'struct.c' is missing; expected BIGINT, the object has ts_s, "],
    ['struct.a.x', 'BIGINT', "column 'struct.a.x' is missing"],
    ['struct.a', 'DATE', "column 'struct.a': BIGINT can never be read as DATE"],
    ['list.element', 'BIGINT', "column 'list.element' is missing"],
  ])('%s as %s', async (column, declared, message) => {
    expect(await read(types, column, declared)).toContain(message)
  })
})

describe('nanoseconds in UTC', () => {
  test('are marked as local ones in the footer, and nothing else of it changes', async () => {
    const bytes = await readFile(types)
    const start = footerStart(bytes, bytes.length) as number
    const footer = bytes.subarray(start)
    const changed = localNanos(footer) as Buffer
    expect(changed).toHaveLength(footer.length)
    expect([...changed].filter((byte, at) => byte !== footer[at])).toEqual([0x12])
    const columns = (of: Uint8Array) => readFooter(of, start).columns.filter(column => column.isUtcNanos)
    expect(columns(footer).map(column => column.name)).toEqual(['ts_ns_utc'])
    expect(columns(changed)).toEqual([])
  })

  test('are refused where the same bytes stand elsewhere in the footer', async () => {
    const bytes = await readFile(types)
    const footer = Buffer.from(bytes.subarray(footerStart(bytes, bytes.length)))
    // The name of the writer, which is a text like any other.
    const at = footer.indexOf('parquet-cpp')
    Buffer.from([0x8c, 0x11, 0x1c, 0x3c, 0, 0, 0, 0]).copy(footer, at)
    expect(decodeFooter(footer)).toBeDefined()
    expect(localNanos(footer)).toBeUndefined()
  })
})

test('every column of the file is in the tables above', async () => {
  const bytes = await readFile(types)
  const start = footerStart(bytes, bytes.length) as number
  const source = await readFile(import.meta.filename, 'utf8')
  const absent = readFooter(bytes.subarray(start), start).columns.filter(
    column => !source.includes(`['${column.name}'`),
  )
  expect(absent.map(column => name(column.name))).toEqual([])
})
