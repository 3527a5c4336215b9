import { describe, expect, test } from 'vitest'
import { type CsvOptions, csv } from '../../../src/index.ts'

describe('csv()', () => {
  test('is RFC 4180 with a header by default', () => {
    const plain = { header: true, delimiter: ',', quote: '"', escape: '"', nullText: '' }
    expect(csv()).toEqual({ format: 'csv', settings: plain })
    expect(csv({ delimiter: '\t', quote: '' })).toEqual({
      format: 'csv',
      settings: { ...plain, delimiter: '\t', quote: '', escape: '' },
    })
    expect(csv({ header: false, quote: "'", nullText: '\\N' }).settings).toMatchObject({ escape: "'", nullText: '\\N' })
  })

  test.each([
    [{ header: 'yes' }, "csv: header: 'yes' is not valid; expected true or false."],
    [{ delimiter: '' }, "csv: delimiter: '' is not valid; expected one ASCII character"],
    [{ delimiter: '||' }, "csv: delimiter: '||' is not valid"],
    [{ delimiter: 'x' }, "csv: delimiter: 'x' is not valid"],
    [{ delimiter: ' ' }, "csv: delimiter: ' ' is not valid"],
    [{ delimiter: '\n' }, 'csv: delimiter'],
    [{ delimiter: '§' }, 'csv: delimiter'],
    [{ delimiter: 5 }, 'csv: delimiter: 5 is not valid'],
    [
      { quote: ',' },
      "csv: quote: ',' is not valid; expected one ASCII character that is no letter, digit or delimiter",
    ],
    [{ quote: '""' }, 'csv: quote'],
    [{ quote: null }, 'csv: quote: null is not valid'],
    [{ escape: ',' }, "csv: escape: ',' is not valid; expected the quote, or one other ASCII character"],
    [{ escape: '' }, "csv: escape: '' is not valid"],
    [{ quote: '', escape: '\\' }, 'none without a quote'],
    [{ nullText: 'a,b' }, "csv: nullText: 'a,b' is not valid; expected text without line ends"],
    [{ nullText: '"' }, 'csv: nullText'],
    [{ nullText: 'a\nb' }, 'csv: nullText'],
    [{ escape: '\\', nullText: '\\N' }, 'delimiters, quotes and escapes'],
    [{ nullText: 0 }, 'csv: nullText: 0 is not valid'],
    [
      { nullTest: '' },
      "csv: unknown option 'nullTest'; did you mean 'nullText'? Options here: header, delimiter, quote, escape, nullText.",
    ],
    [null, 'csv: null is not valid; expected an object of options'],
    [';', "csv: ';' is not valid; expected an object of options"],
  ])('refuses %j and says why', (options, message) => {
    expect(() => csv(options as CsvOptions)).toThrow(message)
    try {
      csv(options as CsvOptions)
    } catch (error) {
      expect(error).toMatchObject({ kind: 'user', code: 'configuration' })
    }
  })
})
