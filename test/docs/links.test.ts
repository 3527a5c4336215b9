import { stat } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root } from '../cli/child.ts'
import { anchorsOf, pagePaths, readPage, withoutCode } from './pages.ts'

const pages = await pagePaths()

/** Where the links and pictures of a page lead. */
const targetsOf = (text: string): readonly string[] => [
  ...[...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target as string),
  ...[...text.matchAll(/\b(?:src|srcset|href)="([^"]+)"/g)].map(([, target]) => target as string),
]
const isOutside = (target: string) => /^(https?|mailto):/.test(target)

describe.each(pages)('%s', page => {
  test('each link leads to a file that is there, and to a heading of it', async () => {
    const wrong: string[] = []
    for (const target of targetsOf(await readPage(page))) {
      if (isOutside(target)) continue
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : normalize(join(dirname(page), path))
      const found = await stat(join(root, file)).catch(() => undefined)
      if (!found) wrong.push(`${target}: no such file`)
      else if (anchor !== undefined && !anchorsOf(await readPage(file)).has(anchor))
        wrong.push(`${target}: no such heading`)
    }
    expect(wrong).toEqual([])
  })

  test('addresses elsewhere are whole', async () => {
    for (const target of targetsOf(await readPage(page)).filter(isOutside))
      expect(() => new URL(target), target).not.toThrow()
  })
})

test('every page of docs is linked from the first page of the documentation, or from one that is', async () => {
  const reached = new Set(['docs/README.md'])
  for (const page of reached) {
    if (!page.endsWith('.md')) continue
    for (const target of targetsOf(await readPage(page))) {
      const [path = ''] = target.split('#')
      if (path !== '' && !isOutside(target)) reached.add(normalize(join(dirname(page), path)))
    }
  }
  // The folder of decisions is their list.
  const wanted = pages.filter(page => page.startsWith('docs/') && !page.startsWith('docs/decisions/0'))
  expect(wanted.filter(page => !reached.has(page))).toEqual([])
})

test('README.md is short, and what it links to is carried by the package', async () => {
  const readme = await readPage('README.md')
  expect(Buffer.byteLength(readme)).toBeLessThanOrEqual(8_192)
  const { files } = JSON.parse(await readPage('package.json')) as { readonly files: readonly string[] }
  const carried = (path: string) => files.some(each => path === each || path.startsWith(`${each}/`))
  const linked = targetsOf(readme)
    .filter(target => !isOutside(target))
    .map(target => normalize(target.split('#')[0] ?? ''))
  expect(linked.length).toBeGreaterThan(10)
  expect(linked.filter(path => !carried(path))).toEqual([])
})
