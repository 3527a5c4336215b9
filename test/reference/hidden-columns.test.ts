import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** Texts that begin so and are no columns: a folder, and ends of names that are looked for. */
const noColumns = new Set(['_millrace', '_corrections', '_delta_log', '_us', '_ms'])

/** Names that begin with `_` in the strings of a source file, an interpolated end as `…`. */
function namesIn(text: string): readonly string[] {
  const names: string[] = []
  const visit = (node: ts.Node) => {
    const isOpen = ts.isTemplateHead(node) || ts.isTemplateMiddle(node)
    const isBehind = ts.isTemplateMiddle(node) || ts.isTemplateTail(node)
    if (isOpen || isBehind || ts.isStringLiteralLike(node))
      // Right behind what is interpolated it is the end of another name.
      for (const { 0: name, index } of node.text.matchAll(/(?<![\w./-])_[a-z]\w*/g))
        if (!isBehind || index > 0) names.push(isOpen && index + name.length === node.text.length ? `${name}…` : name)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true))
  return names
}

async function namesInCode(): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (const folder of ['src/plan', 'src/engine', 'operators', 'connectors'])
    for (const file of await readdir(join(root, folder), { recursive: true }))
      if (file.endsWith('.ts'))
        for (const name of namesIn(await readFile(join(root, folder, file), 'utf8'))) names.add(name)
  return names
}

/** What the glossary has: first cells of its tables, and the variables that it lists at the end. */
async function namesOnPage(): Promise<readonly string[]> {
  const page = await readFile(join(root, 'docs/internals/hidden-columns.md'), 'utf8')
  const [tables = '', variables = ''] = page.split('## Variables')
  const cells = tables.split('\n').flatMap(line => (line.startsWith('| `') ? [line.split('|')[1] ?? ''] : []))
  return [...cells, variables].flatMap(cell => [...cell.matchAll(/`(_[^`]+)`/g)].map(([, name]) => name as string))
}

/** What is interpolated behind a name of the code may be more of it, or what comes next. */
const isTold = (name: string, told: string) =>
  name.replace('…', '') === told || (told.endsWith('…') && name.startsWith(told.slice(0, -1)))

test('the glossary has every hidden column of the code', async () => {
  const told = await namesOnPage()
  const missing = [...(await namesInCode())].filter(
    name => !noColumns.has(name) && !told.some(one => isTold(name, one)),
  )
  expect(missing).toEqual([])
})

test('the code has every hidden column of the glossary', async () => {
  const names = [...(await namesInCode())]
  const gone = (await namesOnPage()).filter(told => !names.some(name => isTold(name, told)))
  expect(gone).toEqual([])
})
