import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as millrace from '../../src/index.ts'
import { root } from '../cli/child.ts'
import { compile } from '../types/compile.ts'
import { allBlocks, type Block, isWhole, typescriptBlocks } from './pages.ts'

// Every block of TypeScript on every page compiles. A whole pipeline is compiled as it is. A part of one is compiled behind
// what its page has declared before it, or behind `assumed` where the page declares nothing.

/** A file beside one of SQL, whose rows the compiler does not know. `test/examples/sql-guide.test.ts` runs it. */
const isBesideSql = ({ page, code }: Block) => page === 'docs/guides/sql-pipelines.md' && code.includes('export const')

const isDeclaring = ({ code }: Block) => /^(export default|const) /m.test(code)

test('every block of TypeScript in the documentation compiles', async () => {
  const all = (await typescriptBlocks()).filter(block => !isBesideSql(block))
  expect(all.filter(isWhole).length).toBeGreaterThan(35)
  expect(all.filter(block => !isWhole(block)).length).toBeGreaterThan(35)
  const name = (index: number | 'pipeline') =>
    join(root, 'test/docs', index === 'pipeline' ? 'pipeline.ts' : `block-${index}.ts`)
  const texts = all.map((block, index) => (isWhole(block) ? block.code : asPart(block, all.slice(0, index))))
  const found = compile({
    // What pages import as './pipeline.ts'.
    [name('pipeline')]: `${importsOf(assumed)}${assumed}export default example\n`,
    ...Object.fromEntries(texts.map((text, index) => [name(index), text])),
  })
  const wrong = all.flatMap(({ page, line }, index) =>
    (found.get(name(index)) ?? []).map(({ message }) => `${page}:${line}: ${message}`),
  )
  expect(wrong).toEqual([])
})

// The examples of the reference come from TSDoc, and stand indented. Their rows may have any columns, so calls, options
// and values of options are what is compiled.

/** Begins with a call of the package, with rows that go somewhere, or with an option of a source. */
const isExample = ({ page, language, code }: Block) =>
  language === 'indented' &&
  page.startsWith('docs/reference/') &&
  /^(import |const \w+ = |format: |\w+\.pipe\(|\w+\.subscribe\()/.test(code.replace(beginsWithCall, 'format: '))

const beginsWithCall = new RegExp(`^(?:await )?(?:${Object.keys(millrace).join('|')})\\(`)

/** What examples take for known. */
const assumedRows = Object.entries({
  trips:
    'lpep_pickup_datetime TIMESTAMP, PULocationID BIGINT, payment_type BIGINT, zone BIGINT, total_amount DOUBLE, ' +
    'tip_amount DOUBLE, fare DOUBLE, miles DOUBLE, trip_distance DOUBLE, trip_id VARCHAR, agent VARCHAR',
  orders: 'order_id BIGINT, tags VARCHAR[], items JSON',
  sales: 'shop BIGINT',
  rides: 'rider BIGINT, km DOUBLE',
  green: 'zone BIGINT',
  yellow: 'zone BIGINT',
  payments: 'trip_id VARCHAR, amount DOUBLE',
  persons: 'id BIGINT',
  auctions: 'seller BIGINT',
}).map(([name, columns]) => {
  const typed = columns.split(', ').map(column => `${column.replace(' ', ": '")}'`)
  // Rows that are joined may not share the name of their time.
  const time = ['payments', 'auctions'].includes(name) ? `${name}_at` : 'at'
  const options = `objects: '.', format: parquet(), time: '${time}', watermark: { delay: '1 hour' }`
  return `const ${name} = source('${name}', { ${options}, columns: { ${time}: 'TIMESTAMP NOT NULL', ${typed.join(', ')} } })`
})
const assumedRest = `
const zones = lookup('zones', { objects: '.', format: csv(), columns: { LocationID: 'BIGINT NOT NULL' }, key: ['LocationID'] })
const sink = files('output', { format: 'json' })
declare const checkpoint: string
declare function isBot(agent: string | null): boolean
declare function parseAgent(agent: string | null): { readonly name: string }
declare function send(row: unknown): Promise<void>
declare function store(epoch: number, rows: unknown): Promise<void>;
`

/** Behind what it takes for known. */
function asExample({ code }: Block): string {
  const whole = code
    // What is left out.
    .replaceAll("source('trips', {...})", 'trips')
    .replaceAll("tumbling('1 hour'), ...", "tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count() })")
    .replaceAll(/\.\.\., /g, '')
    // Rows of any columns: the calls by themselves.
    .replace(/^aggregate\((.*)\)(?=\s)/, 'void ($1)')
    // Steps of a pipeline, a line each.
    .replace(/^where\([^\n]*\n(?:derive\([^\n]*\n)*$/, steps => `trips.pipe(${steps.trim().replaceAll('\n', ', ')})\n`)
  const [imports = ''] = /^(?:import .*\n)*/.exec(whole) ?? []
  const known = [...assumedRows, assumedRest].join('\n')
  const all = ["import { concatMap } from 'rxjs'", importsOf(known + whole), imports, known]
  return [...all, `{\n${whole.slice(imports.length)}\n}`].join('\n')
}

test('every example of the reference compiles', async () => {
  const all = (await allBlocks()).filter(isExample)
  expect(all.length).toBeGreaterThan(65)
  const name = (index: number) => join(root, 'test/docs', `example-${index}.ts`)
  const texts = all.map(asExample)
  const found = compile(Object.fromEntries(texts.map((text, index) => [name(index), text])))
  const wrong = all.flatMap(({ page, line }, index) =>
    (found.get(name(index)) ?? []).map(({ message }) => `${page}:${line}: ${message}`),
  )
  expect(wrong).toEqual([])
})

/** What a page takes for known where it declares nothing. */
const assumed = `
const trips = source('trips', {
  objects: 'input',
  format: parquet(),
  columns: { at: 'TIMESTAMP NOT NULL', id: 'BIGINT', zone: 'VARCHAR', fare: 'DECIMAL(18,2)', address: 'JSON' },
  time: 'at',
  watermark: { delay: '1 hour' },
})
const example = pipeline('example', { checkpoint: 'checkpoint' }, trips.pipe(to(files('output', { format: 'json' }))))
`

/** A part of a pipeline: a statement, an expression, or options such as `watermark: { delay: '1 hour' }`. */
function asPart({ page, code }: Block, before: readonly Block[]): string {
  const declared = before.filter(block => block.page === page && isDeclaring(block)).map(block => block.code)
  const known = (declared.length > 0 ? declared.join('\n') : assumed)
    .replaceAll(/^import [\s\S]*? from '[^']+'$/gm, '')
    .replaceAll(/^export default /gm, 'const example = ')
  const isOptions = /^\w+: /.test(code)
  return [
    importsOf(`${known}${code}`),
    "import { concatMap, tap } from 'rxjs'",
    'declare function send(row: unknown): Promise<void>',
    known,
    isOptions ? `void {\n${code}\n}` : `{\n${code.replaceAll(/^export default /gm, 'const other = ')}\n}`,
  ].join('\n')
}

function importsOf(code: string): string {
  const names = Object.keys(millrace).filter(each => new RegExp(`\\b${each}(\\(|\\b[,)])`).test(code))
  return `import { ${names.join(', ')} } from 'millrace'\n`
}
