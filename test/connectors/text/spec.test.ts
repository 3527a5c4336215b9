import { describe, expect, test } from 'vitest'
import { readPattern } from '../../../connectors/text/pattern.ts'
import { albLogs, s3AccessLogs, type TextOptions, text } from '../../../src/index.ts'

describe('text()', () => {
  test('is plain data, with what was left out', () => {
    expect(text({ pattern: '(?<a>.)(b)?' })).toEqual({
      format: 'text',
      settings: { pattern: '(?P<a>.)(b)?', groups: ['a', null], nullText: '', times: {}, comment: '', headerLines: 0 },
    })
    expect(text(s3AccessLogs).suffixes).toEqual([''])
    expect(text({ ...albLogs, suffix: '.txt' }).suffixes).toEqual(['.txt'])
  })

  const pattern = '(?P<a>.)'
  test.each([
    [{}, 'text: pattern is missing; expected a regular expression of RE2'],
    [{ pattern: '' }, "text: pattern: '' is not valid"],
    [{ pattern: 'a\nb' }, 'text: pattern'],
    [{ pattern: `(?P<a>${'x'.repeat(10_000)})` }, 'at most 10,000 characters'],
    [{ pattern: '.*' }, "text: pattern: '.*' is not valid; expected at least one group with a name"],
    [{ pattern: '(.*)' }, 'at least one group with a name'],
    [{ pattern: '(?P<a>.)(?=b)' }, 'no look ahead or behind'],
    [{ pattern: '(?P<a>.)(?<!b)' }, 'no look ahead or behind'],
    [{ pattern: '(?P<a>.)\\1' }, 'no reference back'],
    [{ pattern: '(?P<a>.)(?<A>.)' }, "each name once; 'A' is there again"],
    [{ pattern: '(?P<a-b>.)' }, "names of letters, digits and _; found 'a-b'"],
    [{ pattern, times: { b: '%Y' } }, "text: times: 'b' is not valid; expected a group of the pattern: a"],
    [{ pattern, times: { a: '%Q' } }, "text: times.a: '%Q' is not valid; expected a format of strptime"],
    [{ pattern, times: { a: '%d %Z' } }, 'text: times.a'],
    [{ pattern, times: { a: 'epoch' } }, undefined],
    [{ pattern, times: '%Y' }, "text: times: '%Y' is not valid; expected an object of groups"],
    [{ pattern, headerLines: -1 }, 'text: headerLines: -1'],
    [{ pattern, suffix: [] }, 'text: suffix'],
    [{ patern: pattern }, "text: unknown option 'patern'; did you mean 'pattern'?"],
  ])('refuses %j and says why', (options, message) => {
    if (message === undefined) expect(() => text(options as never)).not.toThrow()
    else expect(() => text(options as TextOptions)).toThrow(message)
  })
})

test.each([
  ['(?P<a>x)', ['a']],
  ['(?:x)(?i)(?i:y)(?P<a>x)', ['a']],
  ['((?<a>x)|(y))', [null, 'a', null]],
  ['\\((?P<a>x)', ['a']],
  ['[(](?P<a>x)[^)(]', ['a']],
  ['[]()](?P<a>x)', ['a']],
  ['[^]()](?P<a>x)', ['a']],
  ['[[:alpha:](](?P<a>x)', ['a']],
  ['\\Q((\\E(?P<a>x)\\Q(', ['a']],
  ['\\\\(?P<a>x)', ['a']],
])('the groups of %s are %j', (pattern, groups) => {
  expect(readPattern(pattern)).toMatchObject({ groups })
})
