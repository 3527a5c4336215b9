import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as millrace from '../../src/index.ts'
import { root } from '../cli/child.ts'
import { compile } from '../types/compile.ts'
import { type Block, isWhole, typescriptBlocks } from './pages.ts'

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
  const names = Object.keys(millrace).filter(each => new RegExp(`\\b${each}\\(`).test(code))
  return `import { ${names.join(', ')} } from 'millrace'\n`
}
