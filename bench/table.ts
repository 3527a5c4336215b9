/**
 * What millrace costs beside what does the same without it: whole processes, millrace as it is built for npm, both
 * sides in turns, and their ratios by CPU time (user and system) and by the clock, beside those on record.
 *
 *     npm run bench:table [-- small] [-- --record]
 *
 * `small` is done in about a minute. `--record` keeps what was found in bench/table/recorded.json and in docs/performance.md.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cost, costOf } from './cost-of.ts'
import { type Ratios, readRecorded, type Recorded, record } from './table/page.ts'
import { type Size, type Work, works } from './table/works.ts'

interface Form {
  readonly size: Size
  readonly rounds: number
}

const full: Form = { size: { months: 12, rowsPerMonth: 1_000_000, jsonFiles: 3_000, epochs: 400 }, rounds: 3 }
const small: Form = { size: { months: 2, rowsPerMonth: 200_000, jsonFiles: 100, epochs: 40 }, rounds: 2 }

const asked = process.argv.slice(2)
const name = asked.includes('small') ? 'small' : 'full'
const form = name === 'small' ? small : full
const here = import.meta.dirname
const { [name]: recorded } = await readRecorded()

const pipelineFile = (folder: string, side: 'own' | 'other') => join(folder, `${side}.ts`)

async function backfill(folder: string, side: 'own' | 'other', options: readonly string[]): Promise<Cost> {
  for (const path of ['checkpoint', 'output-0', 'output-1'])
    await rm(join(folder, path), { recursive: true, force: true })
  return costOf([join(here, '../dist/src/cli/bin.js'), 'backfill', pipelineFile(folder, side), '--json', ...options])
}

/** The better of two, each by itself: whatever else the machine does only adds. */
const better = (a: Cost, b: Cost): Cost => ({ cpu: Math.min(a.cpu, b.cpu), clock: Math.min(a.clock, b.clock) })

async function compare(work: Work, folder: string): Promise<{ readonly own: Cost; readonly other: Cost }> {
  await work.make(folder, form.size)
  const other = work.other(folder, form.size)
  await writeFile(pipelineFile(folder, 'own'), work.pipeline(folder))
  if ('pipeline' in other) await writeFile(pipelineFile(folder, 'other'), other.pipeline)
  const options = work.options ?? []
  let best = { own: { cpu: Infinity, clock: Infinity }, other: { cpu: Infinity, clock: Infinity } }
  for (let round = 0; round < form.rounds; round++) {
    const theirs =
      'pipeline' in other
        ? await backfill(folder, 'other', options)
        : await costOf([join(here, 'table/plain.ts'), ...other.sql])
    best = { other: better(best.other, theirs), own: better(best.own, await backfill(folder, 'own', options)) }
  }
  return best
}

const shown = ({ cpu, clock }: Cost) => `${clock.toFixed(2)} s, CPU ${cpu.toFixed(2)} s`
const times = ({ cpu, clock }: Ratios) => `${clock.toFixed(2)}, CPU ${cpu.toFixed(2)}`

const found: Record<string, Recorded['works'][string]> = {}
const { months, rowsPerMonth, jsonFiles, epochs } = form.size
console.log(
  `${months} months of ${rowsPerMonth} rows, ${jsonFiles} JSON files, ${epochs} epochs; the better of ${form.rounds}`,
)
console.log(`On record: ${recorded?.date ?? 'nothing'}, ${recorded?.machine ?? 'no machine'}\n`)
console.log('| Work | Beside | The other side | millrace | Ratio | On record |\n|---|---|---|---|---|---|')
for (const work of works) {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-table-'))
  try {
    const { own, other } = await compare(work, folder)
    const ratios = { cpu: own.cpu / other.cpu, clock: own.clock / other.clock }
    found[work.name] = { beside: work.beside, ratios, seconds: own.clock }
    const before = recorded?.works[work.name]?.ratios
    console.log(
      `| ${[work.name, work.beside, shown(other), shown(own), times(ratios), before ? times(before) : ''].join(' | ')} |`,
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
if (asked.includes('--record')) {
  const machine = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`
  await record(name, { date: new Date().toISOString().slice(0, 10), machine, works: found })
}
