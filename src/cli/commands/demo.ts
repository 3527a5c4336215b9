import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { configError } from '../../core/errors.ts'
import type { Command } from '../command.ts'
import { pipelineFile } from '../demo/pipeline-file.ts'
import { text, whole } from '../../core/option-kinds.ts'
import { showCount, showCounted } from '../../core/quantity.ts'
import { runBackfill } from '../run-backfill.ts'
import { shellWord } from '../../core/shell-word.ts'
import { invocation, shownPath } from '../shown-path.ts'
import { renderSummary } from '../summary.ts'
import { renderTable } from '../table.ts'
import type { Terminal } from '../terminal.ts'
import { hints } from './backfill.ts'

const options = {
  dir: {
    kind: text('the path of a folder', undefined, 'DIR'),
    default: './millrace-demo',
    about: 'The folder to make.',
  },
  months: { kind: whole(1, 120), default: 4, about: 'How many months to make.' },
  rows: { kind: whole(1_000, 10_000_000), default: 50_000, about: 'How many rows a month has.' },
} as const

export const demoCommand: Command<typeof options> = {
  name: 'demo',
  summary: 'make months of taxi-like data and backfill them',
  about: `Makes Parquet files like those of New York's green taxis, faults included, in a new folder,
writes a pipeline beside them, runs it and shows what came out. No account, no network.`,
  options,
  async run(given, terminal) {
    const dir = resolve(given.dir ?? options.dir.default)
    const months = given.months ?? options.months.default
    const rowsPerMonth = given.rows ?? options.rows.default

    await prepareFolder(dir, terminal)
    terminal.err(
      `Making ${showCounted(months, 'month')} of ${showCount(rowsPerMonth)} ` +
        `trips in ${shownPath(join(dir, 'input'))}\n`,
    )
    const { makeMonths } = await import('../demo/make-months.ts')
    await makeMonths({ dir: join(dir, 'input'), months, rowsPerMonth })
    const file = join(dir, 'pipeline.ts')
    await writeFile(file, pipelineFile)

    terminal.err(`Running ${shownPath(file)}\n`)
    const end = await runBackfill(file, {}, terminal)
    if (end.is === 'stopped') return end.exitCode
    const { summary } = end

    if (!summary.run.drained) {
      const { topZones } = await import('../demo/results.ts')
      const rows = await topZones(summary.outputFiles, 8)
      terminal.out(`\nZones by revenue, from the hourly results:\n\n`)
      terminal.out(`${renderTable(['zone', 'name', 'trips', 'revenue', 'busiest hour'], rows)}\n\n`)
    }
    terminal.out(
      renderSummary(summary, [
        ...hints(summary),
        `${invocation} backfill ${shellWord(shownPath(file))}   # again: nothing to do`,
      ]),
    )
    return end.exitCode
  },
}

/** Written first: a folder with this file is a demo's, and another demo may replace what a demo makes. */
const marker = '.millrace-demo'

/** All that a demo makes; whatever else lies in the folder stays. */
const parts = ['input', 'output', 'checkpoint', 'pipeline.ts']

export async function prepareFolder(dir: string, terminal: Terminal): Promise<void> {
  const found = await readdir(dir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    if (error.code === 'ENOTDIR') throw configError('--dir', dir, 'a folder, found a file', error)
    throw error
  })
  if (found.includes(marker)) {
    terminal.err(`Replacing the former demo in ${shownPath(dir)}\n`)
    for (const part of parts) await rm(join(dir, part), { recursive: true, force: true })
  } else if (found.length > 0) {
    throw configError('--dir', dir, 'a new or empty folder, or one of a former demo')
  }
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, marker), 'Made by `millrace demo`, which may replace it.\n')
}
