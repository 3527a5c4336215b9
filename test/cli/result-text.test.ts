import { expect, test } from 'vitest'
import { resultText } from '../../src/cli/result-text.ts'

const columns = ['n', 'a "name"', 'at']
const rows = [
  { n: 9_007_199_254_740_993n, 'a "name"': 'x, y\n', at: new Date(Date.UTC(2024, 0, 1)) },
  { n: null, 'a "name"': '', at: null },
]

test('CSV quotes what must be, tells NULL from an empty text and loses no digit', () => {
  expect(resultText('csv', columns, rows)).toBe(
    'n,"a ""name""",at\n9007199254740993,"x, y\n",2024-01-01T00:00:00.000Z\n,"",\n',
  )
})

test('JSON has a line for each row, and nothing where there is none', () => {
  expect(resultText('json', columns, rows)).toBe(
    '{"n":"9007199254740993","a \\"name\\"":"x, y\\n","at":"2024-01-01T00:00:00.000Z"}\n' +
      '{"n":null,"a \\"name\\"":"","at":null}\n',
  )
  expect(resultText('json', columns, [])).toBe('')
})

test('a table has a head also without rows', () => {
  expect(resultText('table', ['n'], [])).toBe('n\n-\n')
})
