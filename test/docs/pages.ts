import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from '../cli/child.ts'

/** Every page that a reader of the project may open, by its path from the root. */
export async function pagePaths(): Promise<readonly string[]> {
  const docs = (await readdir(join(root, 'docs'), { recursive: true })).map(
    path => `docs/${path.replaceAll('\\', '/')}`,
  )
  const pages = docs.filter(path => path.endsWith('.md') && !/^docs\/(\.vitepress|api)\//.test(path))
  return ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/README.md', ...pages.toSorted()]
}

export const readPage = (path: string): Promise<string> => readFile(join(root, path), 'utf8')

/** A block on a page, and the line that it begins at. */
export interface Block {
  readonly page: string
  readonly line: number
  /** What its fence says: 'ts', 'json', '' where nothing. 'indented': it has no fence. */
  readonly language: string
  readonly code: string
}

/** Every block of code on every page. */
export async function allBlocks(): Promise<readonly Block[]> {
  const found: Block[] = []
  for (const page of await pagePaths()) {
    const text = await readPage(page)
    for (const match of text.matchAll(/^```(.*)\n([\s\S]*?)^```|(?<=^\n) {4}.*\n(?: {4}.*\n|\n(?= {4}))*/gm)) {
      const [all, language = 'indented', code = all.replaceAll(/^ {4}/gm, '')] = match
      const first = text.slice(0, match.index).split('\n').length
      found.push({ page, line: language === 'indented' ? first : first + 1, language, code })
    }
  }
  return found
}

/** Every block of TypeScript on every page. */
export async function typescriptBlocks(): Promise<readonly Block[]> {
  return (await allBlocks()).filter(({ language }) => language === 'ts')
}

/** Not a part of what stands before it. */
export const isWhole = ({ code }: Block): boolean => /^import /m.test(code)

/** The page without what stands in code. */
export function withoutCode(text: string): string {
  return text
    .replaceAll(/^```[\s\S]*?^```/gm, '')
    .replaceAll(/^(?: {4,}|\t).*$/gm, '')
    .replaceAll(/`[^`\n]*`/g, code => code.replaceAll(/[[\]()]/g, ' '))
}

/** What GitHub makes of a heading. */
export function anchorOf(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-')
}

/** The anchors of a page: one for each heading, numbered where they come again. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const seen = new Map<string, number>()
  const anchors = new Set<string>()
  for (const [, heading = ''] of text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} (.+)$/gm)) {
    const anchor = anchorOf(heading)
    const times = seen.get(anchor) ?? 0
    seen.set(anchor, times + 1)
    anchors.add(times === 0 ? anchor : `${anchor}-${times}`)
  }
  return anchors
}
