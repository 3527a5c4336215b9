/**
 * A backfill of months beside DuckDB running the one plain query over the same files: whole processes, millrace as it
 * is built for npm, both sides in turn, the best of several rounds, and their ratio.
 *
 *     npm run bench [-- MONTHS ROWS_PER_MONTH ROUNDS]
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { makeMonths } from './months.ts'

const [months = 12, rowsPerMonth = 1_000_000, rounds = 3] = process.argv.slice(2).map(Number)
const here = import.meta.dirname
const folder = await mkdtemp(join(tmpdir(), 'millrace-bench-'))
const input = join(folder, 'input')

async function seconds(...args: readonly string[]): Promise<number> {
  const started = performance.now()
  await promisify(execFile)(process.execPath, args)
  return (performance.now() - started) / 1000
}

async function backfill(...options: readonly string[]): Promise<number> {
  const [output, checkpoint] = [join(folder, 'output'), join(folder, 'checkpoint')]
  for (const path of [output, checkpoint]) await rm(path, { recursive: true, force: true })
  const places = ['--input', input, '--output', output, '--checkpoint', checkpoint, '--json']
  return seconds(join(here, '../dist/src/cli/bin.js'), 'backfill', join(here, 'pipeline.ts'), ...places, ...options)
}

try {
  console.log(
    `${months} months of ${rowsPerMonth.toLocaleString('en')} rows, ${cpus().length} cores, best of ${rounds}`,
  )
  await makeMonths(input, months, rowsPerMonth)
  const best = { plain: Infinity, whole: Infinity, single: Infinity }
  for (let round = 0; round < rounds; round++) {
    best.plain = Math.min(best.plain, await seconds(join(here, 'plain.ts'), input, join(folder, 'plain.parquet')))
    best.whole = Math.min(best.whole, await backfill())
    best.single = Math.min(best.single, await backfill('--objects-per-epoch', '1'))
  }
  console.log(`plain query            ${best.plain.toFixed(2)} s`)
  console.log(`backfill               ${best.whole.toFixed(2)} s   ${(best.whole / best.plain).toFixed(2)} times`)
  console.log(`backfill, 1 an epoch   ${best.single.toFixed(2)} s   ${(best.single / best.plain).toFixed(2)} times`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
