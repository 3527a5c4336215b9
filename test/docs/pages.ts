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
