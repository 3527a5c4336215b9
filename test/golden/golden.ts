/** Golden pipelines through the real command line: one process a run, and everything that a run leaves behind. */
import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { makeMonths } from '../../src/cli/demo/make-months.ts'
import { millraceBin } from '../built.ts'
import { nodeBinary } from '../cli/child.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { lookAt, type Place, type Seen } from './seen.ts'

export interface Golden {
  readonly name: string
  readonly input: 'months' | 'readings'
  /** No row of it is late. */
  readonly isStateless?: true
  /** Environment variables that name its output folders; none: --output names the only one. */
  readonly folders?: readonly string[]
  /** Its output are changes of results, which these columns tell apart. */
  readonly changesOf?: readonly string[]
}

export const goldens: readonly Golden[] = [
  { name: 'tumbling-zones', input: 'months' },
  { name: 'hopping-zones', input: 'months' },
  { name: 'refunds', input: 'months', isStateless: true },
  { name: 'two-flows', input: 'months', folders: ['GOLDEN_ZONES', 'GOLDEN_REFUNDS'] },
  { name: 'set-aside', input: 'months', folders: ['GOLDEN_ASIDE', 'GOLDEN_SHARES'] },
  { name: 'busiest-hours', input: 'months' },
  { name: 'so-far', input: 'months' },
  { name: 'changes', input: 'months' },
  { name: 'busiest-zones', input: 'months' },
  { name: 'weeks', input: 'months' },
  { name: 'running-totals', input: 'months', changesOf: ['window_start', 'PULocationID'] },
  { name: 'sessions', input: 'months' },
  { name: 'parted-days', input: 'months' },
  { name: 'unnested', input: 'months' },
  { name: 'together', input: 'months', folders: ['GOLDEN_BOTH', 'GOLDEN_DAILY'] },
  { name: 'sensors', input: 'readings' },
  { name: 'converted', input: 'readings', isStateless: true },
]

/** Where one golden pipeline runs. */
export interface Site extends Place {
  readonly golden: Golden
}

export interface Ended {
  readonly pid: number
  /** 128 and the signal's number when a signal ended it from outside. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Process {
  readonly pid: number
  readonly ended: Promise<Ended>
  isEnded(): boolean
  kill(signal: NodeJS.Signals): void
  /** Standard error so far. */
  stderr(): string
}

export interface GoldenLab extends AsyncDisposable {
  readonly lab: Lab
  readonly inputs: Readonly<Record<Golden['input'], string>>
  site(golden: Golden): Site
  /** A folder for the spill of this site's runs. */
  spillOf(site: Site): string
  start(site: Site, options?: StartOptions): Process
  /** Everything that the checkpoint and its outputs hold, verified: every file hashes, nothing is left to do (I2). */
  seen(site: Site): Promise<Seen>
}

export interface StartOptions {
  /** Default 1; 0 leaves the cut to the engine. */
  readonly objectsPerEpoch?: number
  readonly input?: string
  readonly threads?: number
  readonly noFlush?: boolean
  /** Fence a live owner instead of waiting for it. */
  readonly takeover?: boolean
  readonly spill?: string
}

const months = 6
const rowsPerMonth = 3_000

export async function openGoldenLab(): Promise<GoldenLab> {
  const lab = await openLab()
  const inputs = { months: join(lab.root, 'months'), readings: lab.input }
  await makeMonths({ dir: inputs.months, months, rowsPerMonth })
  await makeReadings(lab)
  const running = new Set<Process>()
  let sites = 0

  return {
    lab,
    inputs,
    site(golden) {
      const folder = join(lab.root, `site-${++sites}`)
      const names = golden.folders ?? ['output']
      const { changesOf } = golden
      const outputs = names.map(name => join(folder, name))
      return { golden, checkpoint: join(folder, 'checkpoint'), outputs, ...(changesOf && { changesOf }) }
    },
    spillOf: site => join(dirname(site.checkpoint), 'spill'),
    start(site, options = {}) {
      const child = startMillrace(backfillArgs(site, inputs[site.golden.input], options), outputFolders(site))
      running.add(child)
      void child.ended.finally(() => running.delete(child))
      return child
    },
    seen: site => lookAt(lab, site),
    async [Symbol.asyncDispose]() {
      for (const child of running) child.kill('SIGKILL')
      await Promise.all([...running].map(({ ended }) => ended))
      await lab[Symbol.asyncDispose]()
    },
  }
}

function backfillArgs(site: Site, input: string, options: StartOptions): string[] {
  const { objectsPerEpoch = 1, threads = 2 } = options
  const [output] = site.outputs
  const given: readonly (readonly [name: string, value: string | undefined])[] = [
    ['--input', options.input ?? input],
    ['--checkpoint', site.checkpoint],
    ['--output', site.golden.folders === undefined ? output : undefined],
    ['--objects-per-epoch', objectsPerEpoch === 0 ? undefined : `${objectsPerEpoch}`],
    ['--threads', `${threads}`],
    ['--memory', '1GB'],
    ['--spill', options.spill],
  ]
  return [
    'backfill',
    fileURLToPath(new URL(`pipelines/${site.golden.name}.ts`, import.meta.url)),
    '--json',
    ...(options.noFlush ? ['--no-flush'] : []),
    ...(options.takeover ? ['--takeover'] : []),
    ...given.flatMap(([name, value]) => (value === undefined ? [] : [name, value])),
  ]
}

function outputFolders({ golden, outputs }: Site): Record<string, string> {
  return Object.fromEntries((golden.folders ?? []).map((name, i) => [name, outputs[i] as string]))
}

const signalNumbers: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15 }

function startMillrace(args: readonly string[], env: Readonly<Record<string, string>>): Process {
  // vitest's own options are for its own processes.
  const { NODE_OPTIONS: _, ...clean } = process.env
  const child = spawn(nodeBinary, [millraceBin(), ...args], {
    env: { ...clean, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const pid = child.pid ?? -1
  let [stdout, stderr, isEnded] = ['', '', false]
  child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      isEnded = true
      resolve({ pid, code: code ?? 128 + (signalNumbers[signal ?? ''] ?? 0), stdout, stderr })
    })
  })
  return { pid, ended, isEnded: () => isEnded, kill: signal => void child.kill(signal), stderr: () => stderr }
}

/** Days of readings, each with rows of the days around it; keys that text formats stumble over. */
async function makeReadings(lab: Lab): Promise<void> {
  const names = `['a', 'b', '', 'null', 'é', 'e', 'O''Hara', 'x,y', NULL, ' a']`
  for (let day = 0; day < 9; day++) {
    // An hour before the day and three hours after it; every hundredth row is a day old, which is late.
    await lab.parquet(
      `readings_2024-03-0${day + 1}.parquet`,
      `SELECT TIMESTAMPTZ '2024-03-01 00:00:00+00' + to_days(${day}) - INTERVAL 1 HOUR
          + to_microseconds((i * 7919 + ${day} * 104729) % 100800 * 1000003)
          - CASE WHEN i % 100 = 99 THEN INTERVAL 30 HOUR ELSE INTERVAL 0 HOUR END AS at,
        ${names}[1 + (i * 31 + ${day}) % 10] AS sensor,
        CASE WHEN i % 17 = 0 THEN NULL ELSE CAST((i * 6151 + ${day}) % 200000 - 100000 AS DECIMAL(18,3)) / 1000 END AS value
      FROM range(1500) AS r(i)`,
    )
  }
}

/** Runs to the end, which must be good. */
export async function expectDone(child: Process, where: string): Promise<Ended> {
  const ended = await child.ended
  expect(ended.code, `${where}: ${ended.stderr}`).toBe(0)
  return ended
}

/** The generation of the checkpoint's HEAD: how often it was written. 0: not yet. */
export async function headWrites(site: Site): Promise<number> {
  const names = await readdir(join(site.checkpoint, 'head')).catch((): string[] => [])
  return Math.max(0, ...names.map(name => Number(/^HEAD@(\d+)@/.exec(name)?.[1] ?? 0)))
}

/** Waits until it is so, or until the process has ended. */
export async function until(child: Process, isSo: () => boolean | Promise<boolean>): Promise<boolean> {
  for (;;) {
    if (await isSo()) return true
    if (child.isEnded()) return false
    await pause(3)
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
