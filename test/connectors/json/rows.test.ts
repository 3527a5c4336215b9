import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createJsonRows, type JsonRowsSettings } from '../../../connectors/json/rows.ts'
import { brokenText } from '../../../connectors/json/row-writer.ts'
import { runs } from '../../engine/harness.ts'

const mebibyte = 1024 * 1024

interface Cut {
  /** Objects as text, and what is broken as `! text`. */
  readonly rows: readonly string[]
  readonly reason: string | undefined
}

/** The rows of a text, which comes in pieces of these sizes, again and again. */
function cut(
  text: string,
  settings: Partial<JsonRowsSettings> = {},
  sizes: readonly number[] = [text.length + 1],
): Cut {
  const rows: string[] = []
  const cutting = createJsonRows({ rowBytesMax: mebibyte, ...settings }, line =>
    rows.push(line[0] === 123 ? line.toString() : `! ${brokenText(line)}`),
  )
  const bytes = Buffer.from(text)
  for (let at = 0, piece = 0; at < bytes.length; piece++) {
    const end = at + (sizes[piece % sizes.length] ?? 1)
    cutting.push(bytes.subarray(at, end))
    at = end
  }
  const reason = cutting.end()
  return { rows, reason }
}
const records = { path: ['Records'] }

describe('rows of JSON text', () => {
  test.each<[string, string, readonly string[]]>([
    ['lines', '{"a":1}\n{"a":2}\r\n\n \t{"a":3}\n', ['{"a":1}', '{"a":2}', '{"a":3}']],
    ['several on a line', '{"a":1}{"a":2} {"a":3}\n{"a":4}', ['{"a":1}', '{"a":2}', '{"a":3}', '{"a":4}']],
    ['over many lines', '\n{\n  "a": "}",\n  "b": [1]\n}\n{\n}', ['{   "a": "}",   "b": [1] }', '{ }']],
    ['an array', '[{"a":[1,{}]},{"b":"],"}]', ['{"a":[1,{}]}', '{"b":"],"}']],
    ['an array over many lines', ' [\n  {"a":1},\n  {\n"b":2}\n]\n', ['{"a":1}', '{ "b":2}']],
    ['arrays one after the other', '[{"a":1}]\n[][{"a":2},{"a":3}]', ['{"a":1}', '{"a":2}', '{"a":3}']],
    ['nothing', ' \n\n', []],
    ['an empty array', '[ \n ]', []],
    ['escapes', '[{"a":"\\"]},"},{"a":"\\\\"}]', ['{"a":"\\"]},"}', '{"a":"\\\\"}']],
  ])('%s', (_, text, rows) => {
    expect(cut(text)).toEqual({ rows, reason: undefined })
  })

  test.each<[string, string, readonly string[]]>([
    ['a trailing comma', '{"a":1,}\n{"a":[1, ]}\n{"a":2}', ['! {"a":1,}', '! {"a":[1, ]}', '{"a":2}']],
    [
      'NaN and Infinity',
      '[{"a":NaN},{"a":-Infinity},{"a":iNf},{"a":"NaN"}]',
      ['! {"a":NaN}', '! {"a":-Infinity}', '! {"a":iNf}', '{"a":"NaN"}'],
    ],
    ['no JSON on a line', '{"a":1}\nno {json}\n{"a":2}', ['{"a":1}', '! no {json}', '{"a":2}']],
    ['no JSON at the beginning', 'no json\n{"a":1}\n', ['! no json', '{"a":1}']],
    ['an array among lines', '{"a":1}\n[1,\n2]\n{"a":2}', ['{"a":1}', '! [1,', '! 2]', '{"a":2}']],
    [
      'the end of a line that goes wrong',
      '{"a":1},\n{"a":2}}\n{"a":3} x\n',
      ['{"a":1}', '! ,', '{"a":2}', '! }', '{"a":3}', '! x'],
    ],
    ['a line cut off, first', '{"a":1,\n{"a":2}\n{"a":3}', ['! {"a":1,', '{"a":2}', '{"a":3}']],
    ['a line cut off inside a string, first', '{"a":"x\n{"a":2}\n', ['! {"a":"x', '{"a":2}']],
    ['a line cut off, between', '{"a":1}\n{"a":[\n{"a":3}', ['{"a":1}', '! {"a":[', '{"a":3}']],
    ['a line cut off, last', '{"a":1}\n{"a":', ['{"a":1}', '! {"a":']],
    ['an object over many lines that is cut off', '{\n"a":1}\n{\n"a":', ['{ "a":1}', '! {\n"a":']],
    ['a string that is not closed', '[{"a":"x\n},{"a":1}]', ['! {"a":"x\n}', '{"a":1}']],
    [
      'elements that are no objects',
      '[1, "x,]" ,null,[{"a":1}],{"a":2}]',
      ['! 1', '! "x,]"', '! null', '! [{"a":1}]', '{"a":2}'],
    ],
    ['commas', '[,{"a":1},,{"a":2},]', ['! ', '{"a":1}', '! ', '{"a":2}', '! ']],
    ['a comma left out', '[{"a":1} {"a":2},{"a":3} x]', ['! {"a":1} {"a":2}', '! {"a":3} x']],
    ['text behind an array', '[{"a":1}] x {"a":2}\n{"a":3}', ['{"a":1}', '! x {"a":2}', '{"a":3}']],
  ])('what is broken spoils no other: %s', (_, text, rows) => {
    expect(cut(text)).toEqual({ rows, reason: undefined })
  })

  test.each([
    ['[{"a":1},{"a":', 'it ends inside an array or object that is never closed, after 1 row'],
    ['[{"a":1}', 'it ends inside an array or object that is never closed, after 0 rows'],
    ['[{"a":1},{"a":[2}},{"a":3}]', 'its brackets do not match at byte 16, after 1 row'],
    ['[{"a":1}}', 'its brackets do not match at byte 8, after 0 rows'],
    ['{\n"a":1}\n{"a":{]}', 'its brackets do not match at byte 15, after 1 row'],
    ['[{"a":"x\n"},{"a":1}]', 'it ends inside an array or object that is never closed, after 0 rows'],
  ])('what is wrong as a whole: %s', (text, reason) => {
    expect(cut(text).reason).toBe(reason)
  })
})

describe('rows in an array of each object', () => {
  test.each<[string, string, readonly string[], readonly string[]]>([
    ['CloudTrail', '{"Records":[{"a":1},{"a":2}]}', ['Records'], ['{"a":1}', '{"a":2}']],
    ['a path', '{"x":{"y":[{"a":0}]},"y":[1],"detail":{"x":[{"y":1}],"y":[{"a":1}]}}', ['detail', 'y'], ['{"a":1}']],
    ['an empty one', '{"Records":[]}', ['Records'], []],
    ['a name with escapes', '{"\\u0052ecords":[{"a":1}]}', ['Records'], ['{"a":1}']],
    ['the first of two', '{"Records":[{"a":1}],"Records":[{"a":2}]}', ['Records'], ['{"a":1}']],
    ['after text like it', '{"a":"\\"Records\\":[{}]","Records" : [ {"a":1} ] }', ['Records'], ['{"a":1}']],
    [
      'in objects on lines',
      '{"Records":[{"a":1}]}\n{"Records":[{"a":2}]}{"Records":[]}\n',
      ['Records'],
      ['{"a":1}', '{"a":2}'],
    ],
    ['over many lines', '{\n  "n": -1.5e3,\n  "Records": [\n    {\n"a":1}\n  ]\n}', ['Records'], ['{ "a":1}']],
  ])('%s', (_, text, path, rows) => {
    expect(cut(text, { path })).toEqual({ rows, reason: undefined })
  })

  test.each<[string, readonly string[]]>([
    ['{"Records":null}', ['! {"Records":null}']],
    ['{"records":[{"a":1}]}', ['! {"records":[{"a":1}]}']],
    ['{"x":{"Records":[{"a":1}]}}', ['! {"x":{"Records":[{"a":1}]}}']],
    ['{}', ['! {}']],
    ['[{"Records":[]}]', ['! [{"Records":[]}]']],
    ['x\n{"Records":[{"a":1}]}', ['! x', '{"a":1}']],
    ['{"Records":[{"a":1,},5]}', ['! {"a":1,}', '! 5']],
  ])('what has no such array is broken: %s', (text, rows) => {
    expect(cut(text, records)).toEqual({ rows, reason: undefined })
  })

  test.each([
    '{"Records":[{"a":1}]',
    '{"Records":[{"a":1}',
    '{"Records"',
    '{"Records":[{"a":1}],}',
    '{"Records" [{"a":1}]}',
    '{,"Records":[]}',
    '{"n":1:2,"Records":[]}',
    '{"n":{]},"Records":[]}',
    '{"n" "Records":[]}',
    '{n:1,"Records":[]}',
    '{"Records":[]]}',
  ])('what is wrong around it is wrong as a whole: %s', text => {
    expect(cut(text, records).reason).toMatch(/^(it ends inside|its brackets do not match)/)
  })
})

describe('rows that are too long', () => {
  const long = `{"a":"${'x'.repeat(mebibyte)}"}`
  const told = `! ${long.slice(0, 900)}... (${long.length} bytes; json({ rowBytesMax }) allows ${mebibyte})`
  const fits = `{"a":"${'x'.repeat(mebibyte - 8)}"}`

  test.each([
    ['lines', `{"a":1}\n${long}\n${fits}\n{"a":2}`],
    ['one line', `{"a":1}${long}${fits}{"a":2}`],
    ['an array', `[{"a":1},${long},${fits},{"a":2}]`],
  ])('are broken, and no other: %s', (_, text) => {
    for (const size of [65_536, text.length])
      expect(cut(text, {}, [size])).toEqual({ rows: ['{"a":1}', told, fits, '{"a":2}'], reason: undefined })
  })

  test('over many lines, the first one', () => {
    const text = `{\n"a":"${'x'.repeat(mebibyte)}"}\n{"a":2}`
    expect(cut(text, {}, [65_536]).rows).toEqual([
      expect.stringMatching(/^! \{\n"a":"x+\.\.\. \(1048585 bytes/),
      '{"a":2}',
    ])
  })

  test('a text of any length comes out as it goes in', () => {
    let rows = 0
    const cutting = createJsonRows({ rowBytesMax: mebibyte, ...records }, () => rows++)
    cutting.push(Buffer.from('{"Records":[{"a":0}'))
    const piece = Buffer.from(',{"a":1}'.repeat(1000))
    for (let pieces = 1; pieces <= 1000; pieces++) {
      cutting.push(piece)
      // The last one may still go on.
      expect(rows).toBe(1000 * pieces)
    }
  })
})

describe('properties', () => {
  // V8 13.6 takes the key '"' for '\\' where JSON.parse has seen that one at the same place.
  const key = fc.constantFrom('a', 'Records', 'x,', ']}', '"', 'é😀')
  const value = fc.letrec<{ value: unknown }>(tie => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(null, true, 0, -1.5e-7, '', '],', '{"a":', '\\"', '\n', 'NaN', ',}'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 3 }),
    ),
  })).value
  const object = fc.dictionary(key, value, { maxKeys: 4 })
  const objects = fc.array(object, { maxLength: 6 })
  const indent = fc.constantFrom(0, 1, 2, '\t')
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })
  const found = ({ rows, reason }: Cut) => ({ rows: rows.map(row => JSON.parse(row) as unknown), reason })

  test('objects come back however they are laid out', () => {
    const layouts: readonly ((all: readonly object[], space: number | string) => string)[] = [
      all => all.map(one => `${JSON.stringify(one)}\n`).join(''),
      all => all.map(one => JSON.stringify(one)).join(''),
      (all, space) => all.map(one => JSON.stringify(one, null, space)).join('\n'),
      (all, space) => JSON.stringify(all, null, space),
      (all, space) => all.map(one => JSON.stringify([one], null, space)).join('\n'),
    ]
    fc.assert(
      fc.property(fc.constantFrom(...layouts), objects, indent, sizes, (layout, all, space, pieces) => {
        // The first one tells whether they go over many lines.
        fc.pre(JSON.stringify(all[0], null, space)?.includes('\n') ?? true)
        expect(found(cut(layout(all, space), {}, pieces))).toEqual({ rows: all, reason: undefined })
      }),
      runs(1000),
    )
  })

  test('objects come back from the array that a path leads to', () => {
    fc.assert(
      fc.property(objects, object, indent, sizes, (all, around, space, pieces) => {
        const { Records: _, ...before } = around
        const envelope = { ...before, Records: { ...before, Records: all, y: 1 }, z: [{ Records: [{}] }] }
        const text = JSON.stringify(envelope, null, space)
        expect(found(cut(text, { path: ['Records', 'Records'] }, pieces))).toEqual({ rows: all, reason: undefined })
      }),
      runs(1000),
    )
  })

  test('rows do not depend on the pieces that the text comes in', () => {
    const token = fc.constantFrom(...'{}[],:"\\\n 1an', '{"a":', '"Records":[', '}\n{', 'NaN', '"x"')
    const text = fc.array(token, { maxLength: 30 }).map(parts => parts.join(''))
    fc.assert(
      fc.property(text, sizes, fc.constantFrom({}, records), (json, pieces, settings) => {
        expect(cut(json, settings, pieces)).toEqual(cut(json, settings))
      }),
      runs(5000),
    )
  })
})
