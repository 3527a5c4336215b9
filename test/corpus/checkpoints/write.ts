/**
 * Writes the corpus of one commit, with the code of the checkout that it runs in:
 *
 *     node test/corpus/checkpoints/write.ts <name of the commit> [<pipeline> ...]
 *
 * Without pipelines it writes all of them; name those whose stored form has changed.
 *
 * It refuses a name that is there: what is written once is never edited (P14).
 */
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn, spawnSync } from 'node:child_process'
import { nodeBinary, root } from '../../cli/child.ts'
import { makeMonths } from '../../../src/cli/demo/make-months.ts'
import { type Lab, openLab } from '../../engine/harness.ts'
import { lookAt, type Place } from '../../golden/seen.ts'
import {
  type CorpusPipeline,
  corpusPipelines,
  corpusRoot,
  corpusStates,
  type Expected,
  millraceCall,
  placeIn,
  setInputTimes,
} from './corpus.ts'

const [name, ...asked] = process.argv.slice(2)
if (name === undefined) throw new Error('the name of the commit is missing')
const home = join(corpusRoot, name)
await mkdir(home)
const inputs = join(home, 'inputs')
const scratch = await mkdtemp(join(tmpdir(), 'millrace-corpus-'))
await using lab = await openLab()

await makeMonths({ dir: join(inputs, 'months'), months: 6, rowsPerMonth: 250 })
await makeReadings(lab)
await makeEvents()
await makeKinds()
for (const folder of await readdir(inputs)) await setInputTimes(join(inputs, folder))
for (const pipeline of corpusPipelines)
  if (asked.length === 0 || asked.includes(pipeline.name)) await writeStates(pipeline)
await rm(scratch, { recursive: true })

async function writeStates(pipeline: CorpusPipeline): Promise<void> {
  const whole = join(inputs, pipeline.input)
  const names = (await readdir(whole)).toSorted()
  const half = join(scratch, `${pipeline.name}-half`, pipeline.input)
  for (const folder of Object.values(pipeline.tables ?? {})) {
    await cp(join(inputs, folder), join(half, '..', folder), { recursive: true })
    await setInputTimes(join(half, '..', folder))
  }
  for (const file of names.slice(0, Math.ceil(names.length / 2))) await cp(join(whole, file), join(half, file))
  await setInputTimes(half)

  const begin = (place: Place) => {
    if (pipeline.correctedBy) applyLateTwice(pipeline, place, half)
  }
  const straight = placeIn(join(scratch, `${pipeline.name}-straight`), pipeline)
  begin(straight)
  runToEnd(pipeline, straight, whole)
  const { rows, late, totals } = await lookAt(lab, straight)
  const expected: Expected = { rows, late, totals }
  await mkdir(join(home, pipeline.name))
  await writeFile(join(home, pipeline.name, 'expected.json'), `${JSON.stringify(expected, null, 1)}\n`)

  const place = (state: string) => placeIn(join(home, pipeline.name, state), pipeline)
  for (const state of corpusStates) begin(place(state))
  await killed(pipeline, place('killed'), whole, pipeline.correctedBy ? 3 : Math.ceil(names.length / 2))
  if (!pipeline.correctedBy) runToEnd(pipeline, place('drained'), half, '--no-flush')
  runToEnd(pipeline, place('sealed'), whole, '--final')
}

/** Half of the input, with late rows that an entry of the ledger has applied, and others that are asked for and wait. */
function applyLateTwice(pipeline: CorpusPipeline, place: Place, half: string): void {
  runToEnd(pipeline, place, half, '--no-flush')
  applyLate(place, '--window=2024-05-01T00:00:00Z/')
  runToEnd(pipeline, place, half, '--no-flush')
  applyLate(place)
}

function applyLate(place: Place, ...more: readonly string[]): void {
  const args = [join(root, 'src/cli/bin.ts'), 'apply-late', place.checkpoint, '--json', ...more]
  const { status, stdout, stderr } = spawnSync(nodeBinary, args, { encoding: 'utf8' })
  if (status !== 0 || !(JSON.parse(stdout).rows > 0))
    throw new Error(`apply-late: exit code ${status}: ${stdout}${stderr}`)
}

function runToEnd(pipeline: CorpusPipeline, place: Place, input: string, ...more: readonly string[]): void {
  const { file, args, env } = millraceCall('backfill', pipeline, place, input)
  const { status, stderr } = spawnSync(file, [...args, ...more], { env: { ...process.env, ...env }, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${pipeline.name}: exit code ${status}: ${stderr}`)
}

/** Kills the run once it has written HEAD so often: what it leaves is in the middle of its work. */
async function killed(pipeline: CorpusPipeline, place: Place, input: string, writes: number): Promise<void> {
  const { file, args, env } = millraceCall('backfill', pipeline, place, input)
  const head = join(place.checkpoint, 'head')
  const generation = async () => {
    const found = await readdir(head).catch((): string[] => [])
    return Math.max(0, ...found.map(entry => Number(/^HEAD@(\d+)@/.exec(entry)?.[1] ?? 0)))
  }
  const before = await generation()
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: 'ignore' })
  const ended = new Promise<void>(resolve => child.on('close', () => resolve()))
  while ((await generation()) < before + writes) await new Promise(resolve => setTimeout(resolve, 1))
  child.kill('SIGKILL')
  await ended
}

async function makeReadings(lab: Lab): Promise<void> {
  // Twenty-five files, so that segments and ledger were merged on the way.
  for (let day = 0; day < 25; day++)
    await lab.parquet(
      `readings_2024-03-${String(day + 1).padStart(2, '0')}.parquet`,
      `SELECT TIMESTAMPTZ '2024-03-01 00:00:00+00' + to_days(${day}) - INTERVAL 1 HOUR
          + to_microseconds((i * 7919 + ${day} * 104729) % 100800 * 1000003)
          - CASE WHEN i % 20 = 19 THEN INTERVAL 30 HOUR ELSE INTERVAL 0 HOUR END AS at,
        ['a', 'b', '', 'null', 'é', NULL][1 + (i * 31 + ${day}) % 6] AS sensor,
        CASE WHEN i % 17 = 0 THEN NULL ELSE CAST((i * 6151 + ${day}) % 200000 - 100000 AS DECIMAL(18,3)) / 1000 END AS value
      FROM range(60) AS r(i)`,
    )
  await cp(lab.input, join(inputs, 'readings'), { recursive: true })
}

/** What is known of kinds of events; not of all of them. */
async function makeKinds(): Promise<void> {
  await mkdir(join(inputs, 'kinds'))
  const known = [
    { kind: 'view', is_sale: false, weight: 1 },
    { kind: 'buy', is_sale: true, weight: 7 },
  ]
  await writeFile(join(inputs, 'kinds', 'kinds.jsonl'), known.map(one => `${JSON.stringify(one)}\n`).join(''))
}

/** JSON lines of ten hours; every file has a line that is no JSON and a value that does not fit. */
async function makeEvents(): Promise<void> {
  const folder = join(inputs, 'events')
  await mkdir(folder)
  const kinds = ['view', 'buy', 'drop', null]
  for (let hour = 0; hour < 10; hour++) {
    const lines = Array.from({ length: 40 }, (_, i) => {
      const at = new Date(Date.UTC(2024, 4, 1, hour - (i % 13 === 0 ? 3 : 0), (i * 37) % 60, i % 60)).toISOString()
      return JSON.stringify({ at, kind: kinds[(i + hour) % 4], amount: ((i * 17 + hour) % 100) / 7 })
    })
    lines.splice(20, 0, 'no JSON', JSON.stringify({ at: 'not a time', kind: 'view', amount: 1 }))
    await writeFile(
      join(folder, `events-${String(hour).padStart(2, '0')}.jsonl`),
      lines.map(line => `${line}\n`).join(''),
    )
  }
}
