import { expect, test } from 'vitest'
import { renderTable } from '../../src/cli/table.ts'
import { padText, shortenText, widthOf, wrapText } from '../../src/cli/text-width.ts'
import { emulateScreen } from './screen.ts'

test.each([
  'abc',
  '注文',
  '한국어',
  'e\u0301e\u0302\u0323',
  'न\u093f',
  'क्ष',
  'ก็',
  '👨\u200d👩\u200d👧',
  '👍🏽',
  '🇩🇪',
  '❤\ufe0f',
  '❤',
  '1\ufe0f\u20e3',
  'a\u00adb',
  '▁▂█░▓',
  '…',
  '𝒳',
  '\u{20000}',
])('%s is as wide as a terminal makes it', async text => {
  const screen = emulateScreen(80)
  screen.openStream().write(`|${text}`)
  expect(widthOf(text)).toBe((await screen.cursor()).column - 1)
})

test('what moves no cursor has no width', () => {
  expect(['', '\u200b', '\u0301', '\ufeff', '\u202e'].map(widthOf)).toEqual([0, 0, 0, 0, 0])
})

test('a text is cut before the sign that would stand in the last column, and says so', () => {
  expect([0, 1, 2, 3, 4, 5].map(columns => shortenText('注文x', columns))).toEqual([
    '',
    '…',
    '…',
    '注…',
    '注…',
    '注文x',
  ])
  expect(shortenText('e\u0301e\u0301e\u0301', 2)).toBe('e\u0301…')
  for (const columns of [1, 2, 3, 7, 20])
    expect(widthOf(shortenText('👨\u200d👩\u200d👧 注文 e\u0301 of a long name', columns))).toBeLessThanOrEqual(columns)
})

test('texts of several scripts end in one column', () => {
  expect([padText('注文', 6), padText('e\u0301', 3), padText('7', 3, 'left'), padText('long', 2)]).toEqual([
    '注文  ',
    'e\u0301  ',
    '  7',
    'long',
  ])
  expect(wrapText('注文 注文', 4)).toEqual(['注文', '注文'])
})

test('a table of wide signs stands in columns on the screen', async () => {
  const screen = emulateScreen(40)
  screen.openStream().write(
    renderTable(
      ['zone', 'n'],
      [
        ['東京都', '12'],
        ['e\u0301te\u0301', '3'],
        ['❤\ufe0f👍🏽', '456'],
      ],
    ),
  )
  const lines = await screen.lines()
  // Of a wide sign the screen has one entry in its text, and two cells.
  expect(lines).toEqual(
    ['zone      n', '------  ---', '東京都   12', 'été       3', '❤️👍🏽    456'].map(line => line.normalize('NFD')),
  )
})
