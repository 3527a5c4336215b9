import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runMillrace } from './child.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-places-'))
})
afterAll(() => rm(dir, { recursive: true }))

/** The call that is wrong begins at the mark; without one it is `pipeline()`. */
const pipelineWith = (steps: string, before = '') => `import * as millrace from 'millrace'
const { aggregate, count, derive, files, groupBy, json, mapRows, pipeline, rows, select, source, sum, to, tumbling, where } = millrace
${before}
interface Typed { readonly lines: 'and columns are those of the file, types and all' }
const trips = source('trips', {
  objects: 'in', format: json(), columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', kind: 'VARCHAR' }, time: 'at' })
const out = (trips as any).pipe(
  where('zone > 0' satisfies string),
  ${steps}
)
export default ${`${steps}${before}`.includes('»') ? '' : '»'}pipeline('places', { checkpoint: 'checkpoint' }, out)
`

const ended = ", to(files('out', { format: 'json' })),"
const windowed = "tumbling('1 hour'), groupBy('zone'), "

test.each<[what: string, steps: string, message: string, before?: string]>([
  ['an option', `»tumbling('1 fortnight')${ended}`, 'tumbling: size: '],
  ['an option of a sink', `select('zone'), to(»files('out', { format: 'avro' })),`, 'files: format: '],
  ['a column', `select('zone'), »select('zones')${ended}`, "select: no column 'zones'"],
  ['an expression', `»where("zone = 'abc'")${ended}`, 'where: it can never work'],
  ['an expression on a line of its own', `»where(\n    'zone > '\n  )${ended}`, 'where: it is no SQL expression'],
  ['a cast', `»derive({ x: ['INTEGER', 'at'] })${ended}`, 'derive x: '],
  ['a filter', `${windowed}»aggregate({ n: count({ filter: 'now() > at' }) })${ended}`, 'aggregate n: filter: '],
  ['an aggregate', `${windowed}»aggregate({ n: sum('kind') })${ended}`, "aggregate n: sum('kind'): "],
  ['the order of steps', `tumbling('1 hour'), »where('zone > 1')${ended}`, 'where: cannot follow tumbling'],
  ['a flow that ends nowhere', `select('zone'),`, 'flow-1 of pipeline places: reached 0 ends'],
  ['rows() after a window', `tumbling('1 hour'), »rows(),`, 'rows: cannot follow tumbling'],
  [
    'a helper in the same file',
    `late()${ended}`,
    'where: there is no column',
    `const late = () => »where('lateness > 5')`,
  ],
])('%s is told with file, line and column of the call', async (_, steps, message, before) => {
  const marked = pipelineWith(steps, before)
  const lines = marked.slice(0, marked.indexOf('»')).split('\n')
  await writeFile(join(dir, 'places.ts'), marked.replace('»', ''))
  const { code, stderr } = await runMillrace(['explain', 'places.ts'], dir)
  expect(stderr).toContain(`millrace: places.ts:${lines.length}:${(lines.at(-1) ?? '').length + 1}: ${message}`)
  expect(code).toBe(2)
})
