import { readFile, writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { drawMermaid } from '../../src/cli/plan-mermaid.ts'
import { drawPlan } from '../../src/cli/plan-picture.ts'
import { widthOf, wrapText } from '../../src/cli/text-width.ts'
import { explain, type Explanation } from '../../src/engine/explain.ts'
import type { PlanGraph } from '../../src/engine/report/plan-graph.ts'
import {
  csv,
  derive,
  files,
  filterRows,
  global,
  groupBy,
  aggregate,
  count,
  join as joined,
  lookup,
  pipeline,
  rows,
  to,
  union,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, sourceOf } from '../engine/harness.ts'
import { root, runMillrace } from './child.ts'
import { readMermaid } from './mermaid-lines.ts'

/** What holds of every graph and of every picture of one. */
function check(graph: PlanGraph): void {
  const { nodes, edges } = graph
  const places = new Map(nodes.map(({ id }, index) => [id, index]))
  expect(places.size).toBe(nodes.length)
  for (const { from, to } of edges) {
    expect(places.has(from)).toBe(true)
    expect(places.get(from)).toBeLessThan(places.get(to) ?? -1)
  }
  const fed = new Set(edges.map(edge => edge.to))
  for (const { id, kind } of nodes) expect(fed.has(id)).toBe(kind !== 'source' && kind !== 'lookup')
  const lines = drawPlan(graph, 80).split('\n')
  const isKept = (kind: string) => kind === 'kept'
  expect(lines.filter(line => /[●◆]/.test(line))).toHaveLength(nodes.filter(({ kind }) => !isKept(kind)).length)
  expect(lines.filter(line => line.includes('▷'))).toHaveLength(nodes.filter(({ kind }) => isKept(kind)).length)
  for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(80)
  const chart = readMermaid(drawMermaid(graph))
  expect(chart.nodes).toHaveLength(nodes.length)
  expect(chart.edges).toEqual(edges.map(({ from, to }) => [from, to].map(id => `n${(places.get(id) ?? -1) + 1}`)))
}

const graphOf = async (name: string) => {
  const { stdout } = await runMillrace(['explain', `test/golden/pipelines/${name}.ts`, '--json'], root)
  return (JSON.parse(stdout) as Explanation).graph
}

describe('the picture of a golden pipeline', () => {
  test.each(['together', 'set-aside', 'two-flows', 'busiest-hours', 'changes', 'unnested'])('%s', async name => {
    const graph = await graphOf(name)
    check(graph)
    expect(`\n${drawPlan(graph, 100)}`).toMatchSnapshot()
  })
})

describe('the picture', () => {
  let lab: Lab
  beforeEach(async () => {
    lab = await openLab()
  })
  afterEach(() => lab[Symbol.asyncDispose]())
  const columns = { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR NOT NULL', v: 'DOUBLE' } as const

  test('has lookups before their steps, functions, what is never late, and code that takes rows', async () => {
    const zones = lookup('zones', {
      objects: 'zones.csv',
      format: csv(),
      columns: { id: 'VARCHAR NOT NULL' },
      key: ['id'],
    })
    const head = sourceOf(lab, { columns })
    const looked = head.pipe(joined(zones, { on: { k: 'id' }, kind: 'left' }) as never) as typeof head
    const flow = looked.pipe(filterRows((() => true) as never, { version: '3' })) as typeof head
    const total = flow.pipe(global({ unbounded: true }), groupBy(), aggregate({ n: count() }), rows() as never)
    const taken = union(head, head).pipe(to(files(lab.output, { format: 'json' })))
    const { graph } = await explain(pipeline('several', { checkpoint: lab.checkpoint }, total as never, taken as never))
    check(graph)
    const lines = drawPlan(graph, 100).split('\n')
    const at = (text: string) => lines.findIndex(line => line.includes(text))
    expect(at('lookup zones: csv from zones.csv')).toBeLessThan(at('join left, on k = id of lookup zones'))
    expect(at('looked at every 1 minute')).toBeGreaterThan(0)
    expect(at('filterRows a function of TypeScript, version 3')).toBeGreaterThan(0)
    expect(at('rows flow-1: the rows of each epoch to your own code')).toBeGreaterThan(0)
    expect(graph.nodes.filter(({ op }) => op === 'late rows')).toEqual([])
    // Both inputs of the union are the source itself.
    expect(graph.edges.filter(({ to: end }) => graph.nodes.find(({ op }) => op === 'union')?.id === end)).toMatchObject(
      [{ side: '1' }, { side: '2' }],
    )
  })

  test('says nothing to a terminal or to Mermaid that names ask for, and is as wide as its signs', async () => {
    const hostile = '\u001b[31m"];\n end <script>`%%{`区域'
    const head = sourceOf(lab, { columns: { ...columns, 区域の合計と平均: 'DOUBLE' } })
    const flow = head.pipe(
      where(`k <> '${hostile}'` as never),
      derive({ 'a"]-->b': ['VARCHAR', `'${'区'.repeat(90)}'`] } as never),
      to(files(lab.output, { format: 'json' })),
    )
    const { graph } = await explain(pipeline('hostile', { checkpoint: lab.checkpoint }, flow as never))
    check(graph)
    const picture = drawPlan(graph, 80)
    expect(picture).not.toContain('\u001b')
    expect(picture).toContain('\\u001b[31m"];')
    expect(picture).toContain('区域の合計と平均')
    expect(drawMermaid(graph)).not.toMatch(/<script|\u001b|`/)
  })
})

test('texts are cut by the columns that their signs take', () => {
  expect(widthOf('区a👩‍👩‍👧é')).toBe(6)
  expect(wrapText('ab 区域区域 c', 6)).toEqual(['ab', '区域区', '域 c'])
})

describe('the command', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-explain-'))
    const guide = await readFile(join(root, 'docs/guides/see-a-pipeline.md'), 'utf8')
    await writeFile(join(folder, 'pipeline.ts'), /```ts\n([^]*?)```/.exec(guide)?.[1] ?? '')
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('prints what its guide shows, and as JSON what its guide lists', async () => {
    const guide = await readFile(join(root, 'docs/guides/see-a-pipeline.md'), 'utf8')
    const { stdout, stderr } = await runMillrace(['explain', 'pipeline.ts'], folder)
    expect({ stdout, stderr }).toEqual({ stdout: /```text\n([^]*?)```/.exec(guide)?.[1], stderr: '' })
    const told = JSON.parse((await runMillrace(['explain', 'pipeline.ts', '--json'], folder)).stdout) as Explanation
    expect(told.version).toBe(1)
    const listed = [...guide.matchAll(/^\| `([a-z]+)/gm)].map(([, field]) => field)
    expect(new Set(Object.keys(told))).toEqual(new Set(listed))
    for (const field of Object.keys(told.graph.nodes[0] ?? {})) expect(guide).toContain(`\`${field}\``)
    readMermaid((await runMillrace(['explain', 'pipeline.ts', '--mermaid'], folder)).stdout)
  })

  test('refuses two forms at once', async () => {
    const { code, stderr } = await runMillrace(['explain', 'pipeline.ts', '--json', '--mermaid'], folder)
    expect(code).toBe(2)
    expect(stderr).toContain('exclude each other')
  })
})
