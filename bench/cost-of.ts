import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'

/** What a process took as a whole, in seconds: by CPU time (user and system), and by the clock. */
export interface Cost {
  readonly cpu: number
  readonly clock: number
}

// Printed by the process itself, at its very end: nobody else can ask what a child has used.
const meter = `data:text/javascript,process.on('exit',()=>{const{user,system}=process.cpuUsage();console.error('cpu '+(user+system)/1e6)})`

/** Runs Node with these arguments. */
export async function costOf(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Cost> {
  const startedMs = performance.now()
  const { stderr } = await promisify(execFile)(process.execPath, ['--import', meter, ...args], { env })
  const [, cpu] = /^cpu (.*)$/m.exec(stderr) ?? []
  if (cpu === undefined) throw new Error(`the process has not told its CPU time:\n${stderr}`)
  return { cpu: Number(cpu), clock: (performance.now() - startedMs) / 1000 }
}

/** Of `dist`, to compare: those that are named on the command line, then the own one. */
export function buildsToCompare(): readonly string[] {
  return [...process.argv.slice(2), join(import.meta.dirname, '../dist')].map(path => resolve(path))
}

/** The middle one; of an even number the greater of two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}
