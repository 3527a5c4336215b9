import { expect, test } from 'vitest'
import { calls, fares, prelude } from './examples/aggregates.ts'
import { runFlows } from './run-example.ts'
import { expectSections } from './sections.ts'
import { describedAs, documentedIn } from './tsdoc.ts'

const aggregates = documentedIn('operators/aggregates')

test('every aggregate has an example', () => {
  expect(Object.keys(calls).toSorted()).toEqual(aggregates.map(({ name }) => name).toSorted())
})

test('the page of aggregates has what they say of themselves, and what their examples give', async () => {
  const order = Object.keys(calls)
  const sorted = aggregates.toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name))
  const items = order.map(name => `${name}: ${calls[name] as string}`).join(', ')
  const flow = `fares.pipe(tumbling('1 day'), aggregate({ ${items} }))`
  const { written } = await runFlows(prelude, [flow], { 'fares/a.jsonl': fares })
  // Numbers are shown as they are written: JSON.parse would drop the zeros of a DECIMAL.
  const [row = ''] = written
  const parts = sorted.flatMap((aggregate, index) => [
    ...(index > 0 ? [''] : []),
    `### ${aggregate.name}`,
    '',
    ...describedAs(aggregate),
    '',
    `\`${calls[aggregate.name] as string}\` gives \`${valueIn(row, aggregate.name, order)}\`.`,
  ])
  await expectSections('docs/reference/aggregates.md', {
    'what the examples read': ['```text', fares.trimEnd(), '```'],
    aggregates: parts,
  })
})

/** The text of a value in a line of JSON whose names come in a known order. */
function valueIn(row: string, name: string, order: readonly string[]): string {
  const begin = row.indexOf(`"${name}":`)
  if (begin === -1) throw new Error(`${name} is not in ${row}`)
  const next = order[order.indexOf(name) + 1]
  const end = next === undefined ? row.lastIndexOf('}') : row.indexOf(`,"${next}":`, begin)
  return row.slice(begin + name.length + 3, end)
}
