import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFile(join(root, path), 'utf8')

/** Files that a page names by their path from the root, in the form of code. */
function pathsOn(page: string): readonly string[] {
  const paths = page.matchAll(/`((?:src|operators|connectors|checkpoints|test|docs|bench|docker)\/[\w./-]+\.\w+)`/g)
  return [...new Set([...paths].map(([, path]) => path as string))]
}

const files = await readdir(join(root, 'docs'), { recursive: true })
// Decisions tell what was there when they were taken.
const docs = files
  .filter(name => name.endsWith('.md') && !/^(decisions|api|\.vitepress)\b/.test(name))
  .map(name => `docs/${name.replaceAll('\\', '/')}`)
const pages = ['ARCHITECTURE.md', 'CONTRIBUTING.md', ...docs]

test('pages name files', async () => {
  for (const name of [
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'docs/internals/walks.md',
    'docs/internals/hidden-columns.md',
  ])
    expect(pathsOn(await read(name)), name).not.toEqual([])
})

test.each(pages)('every file that %s names exists', async name => {
  const paths = pathsOn(await read(name))
  const missing: string[] = []
  for (const path of paths) if (!(await stat(join(root, path)).catch(() => undefined))) missing.push(path)
  expect(missing).toEqual([])
})

interface Stop {
  readonly number: number
  readonly path: string
  readonly functions: readonly string[]
}

/** The stops of a walk, in the order of its table. */
async function stopsOf(walk: string): Promise<readonly Stop[]> {
  const [, section = ''] = (await read('docs/internals/walks.md')).split(`\n## ${walk}\n`)
  const [own = ''] = section.split('\n## ')
  return [...own.matchAll(/^\| (\d+) \| `([^`]+)` \| ([^|]+) \|/gm)].map(([, number, path = '', cell = '']) => ({
    number: Number(number),
    path,
    functions: [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name as string),
  }))
}

test.each(['A message', 'A row'])(
  '%s passes each of its stops once, and the page tells how many they are',
  async walk => {
    const stops = await stopsOf(walk)
    expect(stops.map(({ number }) => number)).toEqual(stops.map((_, index) => index + 1))
    expect(new Set(stops.map(({ path }) => path)).size).toBe(stops.length)
    expect(await read('docs/internals/walks.md')).toContain(`\n- ${walk}: ${stops.length} files.\n`)
  },
)

test.each(['A message', 'A row'])('%s meets functions that its stops have', async walk => {
  const stops = await stopsOf(walk)
  expect(stops).not.toEqual([])
  const gone: string[] = []
  for (const { path, functions } of stops) {
    const code = await read(path)
    expect(functions, path).not.toEqual([])
    for (const name of functions) if (!new RegExp(`\\b${name}\\b`).test(code)) gone.push(`${path}: ${name}`)
  }
  expect(gone).toEqual([])
})

test('decisions are numbered without gaps, but for the last, which may be on their way', async () => {
  const names = (await readdir(join(root, 'docs/decisions'))).filter(name => /^\d/.test(name)).toSorted()
  const settled = names.slice(0, -3)
  expect(settled.length).toBeGreaterThan(40)
  expect(settled.map(name => Number(name.slice(0, 4)))).toEqual(settled.map((_, index) => index + 1))
})

test.each([
  ['docs/internals/semantics.md', 'S'],
  ['docs/internals/protocol.md', 'P'],
])('%s has every rule that comments, tests and decisions cite', async (page, letter) => {
  const text = await read(page)
  const cited = new Set<string>()
  for (const folder of ['src', 'operators', 'connectors', 'checkpoints', 'test', 'docs'])
    for (const name of await readdir(join(root, folder), { recursive: true }))
      if (/\.(ts|md)$/.test(name))
        for (const [, list = ''] of (await read(`${folder}/${name}`)).matchAll(/\(([SPI]\d+(?:[,;] [SPI]\d+)*)\)/g))
          for (const rule of list.split(/[,;] /)) if (rule.startsWith(letter)) cited.add(rule)
  expect(cited.size).toBeGreaterThan(10)
  expect([...cited].filter(rule => !text.includes(`\n## ${rule}\n`))).toEqual([])
})
