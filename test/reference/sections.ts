import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { root } from '../cli/child.ts'

/**
 * Compares the parts of a page that are made from the code, each between `<!-- begin: name -->` and `<!-- end -->`, with
 * what the code says. What stands around them is written by hand. `npm test -- test/reference -u` writes the parts anew.
 */
export async function expectSections(path: string, parts: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const page = await readFile(join(root, path), 'utf8')
  const found = new Set<string>()
  const made = page.replaceAll(
    /(<!-- begin: (.+?) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, begin: string, name: string, end) => {
      const lines = parts[name]
      if (!lines) throw new Error(`${path}: nothing makes a part '${name}'`)
      found.add(name)
      return `${begin}\n${lines.join('\n')}\n\n${end as string}`
    },
  )
  expect([...found].toSorted()).toEqual(Object.keys(parts).toSorted())
  await expect(made).toMatchFileSnapshot(join(root, path))
}
