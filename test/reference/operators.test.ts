import { expect, test } from 'vitest'
import { examples, files, prelude } from './examples/operators.ts'
import { isPrinting, runFlows } from './run-example.ts'
import { expectSections } from './sections.ts'
import { describedAs, documentedIn } from './tsdoc.ts'

/** A factory of the engine's own, which no pipeline calls. */
const internal = new Set(['miniBatch'])

const operators = documentedIn('operators').filter(({ name }) => name in examples)

test('every operator has an example', () => {
  const aggregates = new Set(documentedIn('operators/aggregates').map(({ name }) => name))
  const names = documentedIn('operators').map(({ name }) => name)
  const expected = names.filter(name => !aggregates.has(name) && !internal.has(name))
  expect(Object.keys(examples).toSorted()).toEqual(expected.toSorted())
})

/** What each example gives, by the name of its operator. */
async function outputs(): Promise<ReadonlyMap<string, string>> {
  const all = Object.entries(examples)
  const writing = all.filter(([, flow]) => !isPrinting(flow))
  const { written } = await runFlows(
    prelude,
    writing.map(([, flow]) => flow),
    files,
  )
  const given = new Map(writing.map(([name], index) => [name, written[index] as string]))
  for (const [name, flow] of all)
    if (isPrinting(flow)) given.set(name, (await runFlows(prelude, [flow], files)).printed)
  return given
}

test('the page of operators has what they say of themselves, and what their examples give', async () => {
  const given = await outputs()
  const order = Object.keys(examples)
  const parts = operators
    .toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name))
    .flatMap((operator, index) => {
      const output = given.get(operator.name) ?? ''
      expect(output, operator.name).not.toBe('')
      return [
        ...(index > 0 ? [''] : []),
        `## ${operator.name}`,
        '',
        ...describedAs(operator),
        '',
        `\`\`\`ts\n${examples[operator.name] as string}\n\`\`\``,
        '',
        'gives',
        '',
        `\`\`\`text\n${output}\n\`\`\``,
      ]
    })
  const input = Object.entries(files).flatMap(([path, text]) => [
    `\`${path}\`:`,
    '',
    '```text',
    text.trimEnd(),
    '```',
    '',
  ])
  await expectSections('docs/reference/operators.md', {
    'what the examples read': ['```ts', prelude.trimEnd(), '```', '', ...input.slice(0, -1)],
    operators: parts,
  })
})
