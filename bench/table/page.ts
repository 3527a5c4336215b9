import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Ratios {
  readonly cpu: number
  readonly clock: number
}

/** What one run of the table found. */
export interface Recorded {
  readonly date: string
  readonly machine: string
  /** By the name of the work. */
  readonly works: Readonly<
    Record<string, { readonly beside: string; readonly ratios: Ratios; readonly seconds: number }>
  >
}

/** By form: `full`, `small`. */
export type AllRecorded = Readonly<Record<string, Recorded>>

export const recordedFile = join(import.meta.dirname, 'recorded.json')
const pageFile = join(import.meta.dirname, '../../docs/performance.md')
const [begin, end] = ['<!-- npm run bench:table -- --record -->', '<!-- end -->']

export async function readRecorded(): Promise<AllRecorded> {
  return JSON.parse(await readFile(recordedFile, 'utf8')) as AllRecorded
}

/** The rows of the page's first table. */
export function pageTable({ date, machine, works }: Recorded): string {
  const rows = Object.entries(works).map(
    ([name, { beside, ratios, seconds }]) =>
      `| ${name} | ${beside} | ${seconds.toFixed(1)} s | ${ratios.clock.toFixed(1)} | ${ratios.cpu.toFixed(1)} |`,
  )
  return [
    '| Work | Beside | millrace | Times the other side, by the clock | by CPU time |',
    '|---|---|---:|---:|---:|',
    ...rows,
    '',
    `${date}, ${machine}.`,
  ].join('\n')
}

/** What stands in the page. */
export async function tableInPage(): Promise<string | undefined> {
  const page = await readFile(pageFile, 'utf8')
  return page.split(begin)[1]?.split(end)[0]?.trim()
}

/** Keeps what was found, and writes it into the page. */
export async function record(form: string, found: Recorded): Promise<void> {
  const all = { ...(await readRecorded()), [form]: found }
  await writeFile(recordedFile, `${JSON.stringify(all, null, 2)}\n`)
  if (!all['full']) return
  const page = await readFile(pageFile, 'utf8')
  const [before, rest = ''] = page.split(begin)
  const after = rest.split(end)[1]
  if (after === undefined) throw new Error(`${pageFile} has no place for the table: ${begin}`)
  await writeFile(pageFile, `${before}${begin}\n\n${pageTable(all['full'])}\n\n${end}${after}`)
}
