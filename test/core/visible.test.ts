import { expect, test } from 'vitest'
import { siteOf } from '../../src/sql/sql-error.ts'
import { visible } from '../../src/core/visible.ts'

test.each([
  ['a control character of a terminal', 'a\u001b[2J\u009bm', 'a\\u001b[2J\\u009bm'],
  ['one that turns text around: this would look like tripslnosj.exe', 'trips\u202eexe.jsonl', 'trips\\u202eexe.jsonl'],
  ['isolates, and marks of a direction', '\u2067a\u2069\u200f\u061c', '\\u2067a\\u2069\\u200f\\u061c'],
  ['what ends a line elsewhere', 'a\u2028b\u2029c', 'a\\u2028b\\u2029c'],
])('%s is shown as its number', (_, text, shown) => {
  expect(visible(text)).toBe(shown)
})

test('letters of all scripts stay as they are, and signs that are joined', () => {
  for (const text of ['שלום', 'مرحبا', 'क्षि', '👩‍👩‍👧', 'é\u0301', 'a\u00adb']) expect(visible(text)).toBe(text)
})

test('only those stay that are asked for', () => {
  expect(visible('a\n\u202eb\tc', '\n')).toBe('a\n\\u202eb\\u0009c')
})

test('the caret of a frame of SQL stands below its sign, whatever turns text around before it', () => {
  const { frame } = siteOf({ file: 'p.sql', text: "SELECT '\u202e\u2066' WRONG" }, 12)
  expect(frame).toBe("  1 | SELECT '  ' WRONG\n    |             ^")
})
