import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as millrace from '../../src/index.ts'
import { root, runMillrace } from '../cli/child.ts'

/** All that a pipeline may need, by the names that it uses. */
function importsOf(code: string): string {
  const names = Object.keys(millrace).filter(name => new RegExp(`\\b${name}\\(`).test(code))
  return `import { ${names.join(', ')} } from 'millrace'\n${/\btap\(/.test(code) ? "import { tap } from 'rxjs'\n" : ''}`
}

/** What flows gave: one that has no sink of its own writes JSON. */
export interface Given {
  /** The rows of each flow that writes, in the order of the flows. */
  readonly written: readonly string[]
  readonly printed: string
}

/** Runs flows as one pipeline over files. Each of them is text that may use what the prelude declares. */
export async function runFlows(
  prelude: string,
  flows: readonly string[],
  files: Readonly<Record<string, string>>,
): Promise<Given> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-example-'))
  try {
    await mkdir(join(folder, 'node_modules'))
    await symlink(join(root, 'node_modules/rxjs'), join(folder, 'node_modules/rxjs'))
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    }
    const ended = flows.map((flow, index) => {
      if (/\bto\(/.test(flow)) return flow.replace("files('output'", `files('output/${index}'`)
      return isPrinting(flow) ? flow : `(${flow}).pipe(to(files('output/${index}', { format: 'json' })))`
    })
    const code = `${prelude}export default pipeline('example', { checkpoint: 'checkpoint' },\n${ended.join(',\n')})\n`
    await writeFile(join(folder, 'pipeline.ts'), importsOf(code) + code)
    const args = ['backfill', 'pipeline.ts', '--threads', '1', '--final', '--json']
    const { code: exit, stdout, stderr } = await runMillrace(args, folder)
    if (exit !== 0) throw new Error(`${stderr}\n${code}`)
    const written: string[] = []
    for (const [index, flow] of flows.entries())
      if (!isPrinting(flow)) written.push(await linesIn(join(folder, 'output', String(index))))
    // The last line is the summary.
    return { written, printed: stdout.split('\n').slice(0, -2).join('\n') }
  } finally {
    await rm(folder, { recursive: true })
  }
}

export const isPrinting = (flow: string): boolean => /\b(rows|batches)\(/.test(flow)

async function linesIn(output: string): Promise<string> {
  const names = (await readdir(output)).filter(name => name.endsWith('.jsonl')).toSorted()
  return (await Promise.all(names.map(name => readFile(join(output, name), 'utf8')))).join('').trimEnd()
}
