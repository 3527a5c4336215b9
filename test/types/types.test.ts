import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compile } from './compile.ts'

// What the compiler accepts and refuses, asked through its API. `npm run typecheck` covers the same files, but only
// here is a mistake's message looked at.

const root = join(import.meta.dirname, '..', '..')
const file = (name: string) => join(import.meta.dirname, name)
const files = ['ok.ts', 'limits.ts', 'example.ts', 'bad.ts'] as const

const read = (name: string) => readFileSync(file(name), 'utf8')

/** `// @ts-expect-error what is wrong: words of the message` */
const directive = /^\s*\/\/ @ts-expect-error ([^:]+): (.+)$/

interface Mistake {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly message: string
}

function mistakesOf(name: string): readonly Mistake[] {
  return read(name)
    .split('\n')
    .flatMap((text, index) => {
      const match = directive.exec(text)
      return match ? [{ name: match[1] as string, file: name, line: index + 2, message: match[2] as string }] : []
    })
}

/** Directives taken away, lines kept. */
const bare = (text: string) => text.replaceAll('// @ts-expect-error', '//')

const asWritten = compile(Object.fromEntries(files.map(name => [file(name), read(name)])))

test.each(files)('%s compiles: an @ts-expect-error that no longer errs would be told', name => {
  expect(asWritten.get(file(name))).toEqual([])
})

describe('each mistake is told on its line, in words that help', () => {
  const mistakes = files.flatMap(mistakesOf)
  const found = compile(Object.fromEntries(files.map(name => [file(name), bare(read(name))])))

  test('every directive says what is wrong and what the message must hold', () => {
    const directives = files.flatMap(name => read(name).split('\n')).filter(line => /@ts-expect-error/.test(line))
    expect(mistakes).toHaveLength(directives.length)
    expect(mistakes.length).toBeGreaterThan(30)
  })

  test.each(mistakes)('$file:$line $name', ({ file: name, line, message }) => {
    const messages = (found.get(file(name)) ?? []).filter(each => each.line === line).map(each => each.message)
    expect(messages.join('\n')).toContain(message)
  })

  const whatToDo = mistakes.filter(({ message }) =>
    /^(add|keep|name|nothing of|a quantile is|this flow ends)\b/.test(message),
  )
  test.each(whatToDo)('$file:$line $name: what to do is told once, in one line', ({ file: name, line }) => {
    const told = (found.get(file(name)) ?? []).filter(each => each.line === line)
    expect(told.map(({ lines }) => lines)).toEqual([1])
  })

  test('and nothing else is told', () => {
    const lines = (name: string) => mistakes.filter(mistake => mistake.file === name).map(({ line }) => line)
    for (const name of files)
      for (const { line, message } of found.get(file(name)) ?? []) expect(lines(name), message).toContain(line)
  })
})

test('a misspelt column is named in the message, wherever it stands', () => {
  const name = file('misspelt.ts')
  const text = `import { columns, derive, parquet, source, where } from 'millrace'
const trips = source('trips', {
  objects: 'data',
  format: parquet(),
  columns: columns({ at: 'TIMESTAMP', total_amount: 'DECIMAL(18,2)', tip_amount: 'DOUBLE' }),
  time: 'at',
})
export const good = trips.pipe(where('total_amount > 0'))
export const first = trips.pipe(where('totl_amount > 0'))
export const inside = trips.pipe(where('tip_amount > 0 and (at is null or round(totl_amount, 1) > 0)'))
export const derived = trips.pipe(derive({ share: ['DOUBLE', 'tip_amount / totl_amount'] }))
`
  const found = compile({ [name]: text }).get(name) ?? []
  expect(found.map(({ line }) => line)).toEqual([9, 10, 11])
  for (const { message } of found) expect(message).toContain('no column "totl_amount"')
})

test('the pipeline in README.md compiles, and its mistake does not', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? []
  expect(example).toContain('export default pipeline(')
  const [right, wrong] = [file('readme.ts'), file('readme-misspelt.ts')]
  const found = compile({ [right]: example, [wrong]: example.replace("'total_amount > 0'", "'totl_amount > 0'") })
  expect(found.get(right)).toEqual([])
  expect(
    found
      .get(wrong)
      ?.map(({ message }) => message)
      .join('\n'),
  ).toContain('no column "totl_amount"')
  expect(readme).toContain('`no column "totl_amount"`')
})
