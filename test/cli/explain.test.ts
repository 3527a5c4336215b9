import { readdir, readFile, writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { drawMermaid } from '../../src/cli/plan-mermaid.ts'
import { drawPlan } from '../../src/cli/plan-picture.ts'
import { widthOf, wrapText } from '../../src/cli/text-width.ts'
import { explain, type Explanation } from '../../src/engine/explain.ts'
import { inspect } from '../../src/engine/inspect/inspect.ts'
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
  tumbling,
  union,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, run, sourceOf } from '../engine/harness.ts'
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

describe('beside a checkpoint', () => {
  let lab: Lab
  beforeEach(async () => {
    lab = await openLab()
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2024-05-01' AS t, 'a' AS k, 1 AS v, 2 AS more, 3 AS others`)
    await lab.parquet(
      'b.parquet',
      `SELECT TIMESTAMP '2024-05-01' + INTERVAL (i) HOUR AS t, 'b' AS k, 1 AS v FROM range(5) r(i)`,
    )
    await run(plan('2 hours'), { flush: false })
  })
  afterEach(() => lab[Symbol.asyncDispose]())
  const columns = { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR NOT NULL', v: 'BIGINT' } as const
  const plan = (delay: string, name = 'figures') =>
    pipeline(
      name,
      { checkpoint: lab.checkpoint },
      sourceOf(lab, { columns, delay }).pipe(
        tumbling('1 hour'),
        groupBy('k' as never),
        aggregate({ n: count() }),
        to(files(lab.output, { format: 'json' })),
      ) as never,
    )
  const picked = ({ graph }: Explanation) => ({
    holds: graph.nodes.find(({ kind }) => kind === 'state')?.holds,
    reads: graph.nodes.find(({ kind }) => kind === 'source')?.reads,
  })

  test('a step says what it holds, and a source of how many columns it reads some', async () => {
    const { states, epoch } = await inspect(lab.checkpoint)
    const found = await explain(plan('2 hours'), lab.checkpoint)
    check(found.graph)
    expect(found.checkpoint).toEqual({ address: expect.stringContaining('file://') as string, epoch, problem: null })
    const bytes = states.reduce((sum, state) => sum + state.bytes, 0)
    const [state] = states
    expect(picked(found)).toEqual({
      // The last row is at 4:00, so the watermark at 2:00 has closed two windows.
      holds: { rows: 3, bytes, openWindows: 3, watermark: '2024-05-01T02:00:00.000Z' },
      reads: { columns: 3, of: 5, fetches: 'columns' },
    })
    expect(bytes).toBeGreaterThan(0)
    expect(state?.rows).toBe(3)
    const picture = drawPlan(found.graph, 100)
    expect(picture).toContain(`│   holds 3 rows of 3 open windows, ${bytes} B; watermark 2024-05-01T02:00:00.000Z`)
    expect(picture).toContain('│   reads 3 of 5 columns: t, k, v')
    expect(drawMermaid(found.graph)).toContain('holds 3 rows of 3 open windows')
  })

  test('without one nothing is told, and what is not known is said', async () => {
    const found = await explain(plan('2 hours'))
    expect([found.checkpoint, picked(found)]).toEqual([
      null,
      { holds: null, reads: { columns: 3, of: null, fetches: 'columns' } },
    ])
    expect(drawPlan(found.graph, 100)).toContain('how many columns objects have is known after a run')
    expect(await explain(plan('2 hours'), join(lab.root, 'nowhere'))).toEqual(found)
  })

  test('the figures of another pipeline are not shown as its own', async () => {
    const found = await explain(plan('2 hours', 'other'), lab.checkpoint)
    expect(found.checkpoint?.problem).toBe('it is that of pipeline figures')
    expect(picked(found).holds).toBeNull()
  })

  test('of a changed plan, steps that are new hold nothing', async () => {
    const daily = pipeline(
      'figures',
      { checkpoint: lab.checkpoint },
      sourceOf(lab, { columns, delay: '2 hours' }).pipe(
        tumbling('1 day'),
        groupBy('k' as never),
        aggregate({ n: count() }),
        to(files(lab.output, { format: 'json' })),
      ) as never,
    )
    expect(picked(await explain(daily, lab.checkpoint)).holds).toMatchObject({ rows: 0, bytes: 0, watermark: null })
  })

  test('one that cannot be read is told, and the plan is drawn', async () => {
    const bodies = join(lab.checkpoint, 'head-bodies')
    for (const name of await readdir(bodies)) await writeFile(join(bodies, name), '\u001b[2Jno HEAD')
    const found = await explain(plan('2 hours'), lab.checkpoint)
    expect(found.checkpoint?.epoch).toBeNull()
    expect(found.checkpoint?.problem).toMatch(/checkpoint|HEAD|head/)
    expect(picked(found).holds).toBeNull()
    check(found.graph)
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

  test('names a checkpoint that is not there, and asks no bucket unless it is told to', async () => {
    const missing = await runMillrace(['explain', 'pipeline.ts', '--checkpoint', 'nowhere'], folder)
    expect([missing.code, missing.stderr]).toEqual([2, expect.stringContaining('--checkpoint')])
    const text = await readFile(join(folder, 'pipeline.ts'), 'utf8')
    await writeFile(join(folder, 'bucket.ts'), text.replace("'data/checkpoint/'", "'s3://nowhere/checkpoint/'"))
    const { code, stdout } = await runMillrace(['explain', 'bucket.ts', '--json'], folder)
    expect([code, (JSON.parse(stdout) as Explanation).checkpoint]).toEqual([0, null])
  })

  test('refuses two forms at once', async () => {
    const { code, stderr } = await runMillrace(['explain', 'pipeline.ts', '--json', '--mermaid'], folder)
    expect(code).toBe(2)
    expect(stderr).toContain('exclude each other')
  })
})
