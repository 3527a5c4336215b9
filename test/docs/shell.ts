import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Shell extends AsyncDisposable {
  /** The commands that bash would start for these lines, each as its words. Throws what bash says of lines that it refuses. */
  commandsOf(lines: string): Promise<readonly (readonly string[])[]>
}

/**
 * bash itself reads the lines of a page: its quotes, continuations, comments, pipes and redirections. Each of the programs is
 * one that only notes its words, so nothing is done; any other is "command not found".
 */
export async function openShell(programs: readonly string[]): Promise<Shell> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-shell-'))
  const [bin, noted, work] = ['bin', 'noted', 'work'].map(name => join(folder, name)) as [string, string, string]
  await mkdir(work)
  for (const program of programs) {
    const file = join(program.includes('/') ? work : bin, program)
    await mkdir(join(file, '..'), { recursive: true })
    // One write for a command, as those of a pipe run side by side.
    const note = `printf -v words '%s\\x1f' "$@"; printf '%s\\x1e' "$words" >> '${noted}'`
    await writeFile(file, `#!/bin/bash\nset -- '${program}' "$@"\n${note}\n`)
    await chmod(file, 0o755)
  }
  // Built into the shell, and yet only noted.
  const builtIn = programs.filter(program => ['cd', 'echo'].includes(program))
  const functions = builtIn.map(program => `${program}() { '${join(bin, program)}' "$@"; }`)
  return {
    async commandsOf(lines) {
      await writeFile(noted, '')
      for (const [, read = ''] of lines.matchAll(/<\s+(\S+)/g)) await writeFile(join(work, read), '')
      const script = `set -euo pipefail\n${functions.join('\n')}\n${lines}`
      await run('/bin/bash', ['-c', script], { cwd: work, env: { PATH: bin } })
      const commands = (await readFile(noted, 'utf8')).split('\u001E').slice(0, -1)
      return commands.map(words => words.split('\u001F').slice(0, -1))
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
