import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))

/** The pinned Node, whichever one runs the tests. */
export const nodeBinary = `${root}node_modules/node/bin/node`

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Child {
  readonly ended: Promise<Ended>
  /** Resolves when the output, both streams, holds the text. */
  says(text: string): Promise<void>
  kill(signal: NodeJS.Signals): void
  /** What it has said so far. */
  output(): Pick<Ended, 'stdout' | 'stderr'>
}

/** The loader's hooks and signals belong to a process of their own, and vitest replaces import(). */
export function startNode(
  args: readonly string[],
  cwd: string = root,
  env: Readonly<Record<string, string>> = {},
): Child {
  const { NODE_OPTIONS: _, ...clean } = process.env
  const child = spawn(nodeBinary, args, { cwd, env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ code, stdout, stderr }))
  })
  return {
    ended,
    says: text =>
      new Promise((resolve, reject) => {
        const look = () => (stdout + stderr).includes(text) && resolve()
        child.stdout.on('data', look)
        child.stderr.on('data', look)
        child.on('close', () => reject(new Error(`It ended without saying '${text}': ${stdout}${stderr}`)))
        look()
      }),
    kill: signal => void child.kill(signal),
    output: () => ({ stdout, stderr }),
  }
}

/** Runs a TypeScript module given as text; `src:` in its imports stands for the sources' folder. */
export function startScript(script: string, cwd?: string): Child {
  return startNode(
    ['--input-type=module-typescript', '-e', script.replaceAll('src:', new URL('../../src/', import.meta.url).href)],
    cwd,
  )
}

export function runMillrace(
  args: readonly string[],
  cwd?: string,
  env?: Readonly<Record<string, string>>,
): Promise<Ended> {
  return startNode([`${root}src/cli/bin.ts`, ...args], cwd, env).ended
}
