import { expect, test } from 'vitest'
import { type JsonOptions, json } from '../../../src/index.ts'

test('json() holds what was asked for', () => {
  expect(json()).toEqual({ format: 'json', settings: {} })
  expect(json({ records: 'detail.Records', rowBytesMax: 1024 * 1024 })).toEqual({
    format: 'json',
    settings: { records: 'detail.Records' },
    rowBytesMax: 1024 * 1024,
  })
})

test.each([
  [{ records: '' }, "json: records: '' is not valid; expected the name of a field"],
  [{ records: 'a..b' }, "json: records: 'a..b' is not valid"],
  [{ rowBytesMax: 1000 }, 'json: rowBytesMax: 1000 is not valid; expected a whole number from 1048576 to 268435456.'],
  [{ record: 'a' }, "json: unknown option 'record'; did you mean 'records'?"],
])('json() refuses %j and says why', (options, message) => {
  expect(() => json(options as JsonOptions)).toThrow(message)
})
