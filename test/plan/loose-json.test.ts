import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isLooseJson } from '../../src/plan/loose-json.ts'
import { text } from '../../src/plan/sql.ts'
import { runs } from '../engine/harness.ts'
import { openTestDuckdb, type TestDuckdb } from './duckdb.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

/** Whether DuckDB's parser and the check take each text for JSON. */
async function areStrict(texts: readonly string[]): Promise<readonly unknown[]> {
  const values = texts.map((json, index) => `(${index}, ${text(json)})`).join(', ')
  const sql = `SELECT json_valid(x) AND NOT ${isLooseJson('x')} AS strict FROM (VALUES ${values}) AS _(i, x) ORDER BY i`
  return (await db.rows(sql)).map(({ strict }) => strict)
}

function isJson(json: string): boolean {
  try {
    JSON.parse(json)
    return true
  } catch {
    return false
  }
}

describe('JSON that RFC 8259 forbids', () => {
  test.each([
    '{"a":1,}',
    '[1,2 ,\t]',
    '{"a":[{"b":1,\n}]}',
    '{"a":NaN}',
    '{"a":nan }',
    '[-Infinity]',
    '[inf,1]',
    '{"a":iNfInItY}',
    'NaN',
    '-inf\n',
    '{"\\"":",}","a":NaN}',
  ])('is found: %s', async json => {
    expect(await areStrict([json])).toEqual([false])
  })

  test.each([
    '{"a":",}"}',
    '{"a":"x,]","b":"nan,"}',
    '{"a":"\\",}"}',
    '{"a":"\\\\","b":[null,true,false,1e5]}',
    '"inf"',
    '{"NaN":"Infinity"}',
    '{}',
    'null',
  ])('is not seen in what is allowed: %s', async json => {
    expect(await areStrict([json])).toEqual([true])
  })

  const blank = fc.constantFrom('', '', ' ', '\n', '\t', '\r')
  const scalar = fc.constantFrom(
    '1',
    '-0',
    '1.5e5',
    'true',
    'false',
    'null',
    '"a"',
    '"x,}"',
    '"nan"',
    '"a, NaN ]"',
    '"\\\\"',
    '"\\",]"',
    '""',
    'NaN',
    'nan',
    '-NaN',
    'Infinity',
    '-Infinity',
    'inf',
    'iNf',
    '+1',
    '01',
    '.5',
    "'a'",
    '"\t"',
    'undefined',
  )
  const { json: anyJson } = fc.letrec<{ json: string }>(tie => {
    const spaced = fc.tuple(blank, tie('json'), blank).map(parts => parts.join(''))
    const items = (item: fc.Arbitrary<string>) =>
      fc.tuple(fc.array(item, { maxLength: 3 }), fc.option(blank, { freq: 8 })).map(([all, trailing]) => {
        const end = trailing === null ? '' : `,${trailing}`
        return `${all.join(',')}${end}`
      })
    const member = fc.tuple(fc.constantFrom('"k"', '"l,"', '"inf"'), spaced).map(([key, value]) => `${key}:${value}`)
    return {
      json: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        scalar,
        items(spaced).map(inside => `[${inside}]`),
        items(member).map(inside => `{${inside}}`),
      ),
    }
  })

  test('is what JSON.parse refuses as well', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyJson, { minLength: 1, maxLength: 50 }), async texts => {
        expect(await areStrict(texts)).toEqual(texts.map(isJson))
      }),
      runs(50),
    )
  })
})
