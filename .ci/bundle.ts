/**
 * Puts the modules of dist/ together into few files, as finding and reading several hundred ones is most of a start.
 * Only millrace's own: what it depends on stays outside, and is found as npm has installed it. The declarations stay as
 * `tsc` has written them. See docs/decisions/0056.
 */
import { globSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rolldown } from 'rolldown'

const dist = join(import.meta.dirname, '../dist')
/** They keep their names. So does bin.js, which an old Node must be able to read: it stays as `tsc` has written it. */
const entries = ['src/index', 'src/testing/index', 'src/cli/main']
/** Two folders below dist/, which src/core/own-root.ts counts on. */
const chunks = 'src/chunks'

const modules = globSync('**/*.js', { cwd: dist, exclude: ['src/cli/bin.js'] })
const bundle = await rolldown({
  cwd: dist,
  input: Object.fromEntries(entries.map(entry => [entry, join(dist, `${entry}.js`)])),
  platform: 'node',
  external: specifier => !specifier.startsWith('.') && !specifier.startsWith('/'),
  // Modules run as they are written, all of them.
  treeshake: false,
})
const { output } = await bundle.generate({
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: `${chunks}/[name].js`,
})
await bundle.close()

const root = join(dist, 'src/core/own-root.js')
const home = output.find(file => file.type === 'chunk' && file.moduleIds.includes(root))
if (!home?.fileName.startsWith(`${chunks}/`))
  throw new Error(`build: ${home?.fileName} holds src/core/own-root.js; expected a file of ${chunks}`)

await Promise.all(modules.map(module => rm(join(dist, module))))
await mkdir(join(dist, chunks))
for (const file of output) {
  if (file.type !== 'chunk') throw new Error(`build: ${file.fileName} is no JavaScript`)
  await writeFile(join(dist, file.fileName), file.code)
}
