import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { main } from '../../../src/cli/main.ts'
import { query } from '../../../src/engine/inspect/query.ts'
import { checkpointReport } from '../../../src/engine/inspect/report.ts'
import {
  aggregate,
  backfill,
  count,
  files,
  groupBy,
  inspect,
  json,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  where,
} from '../../../src/index.ts'
import { pageDocument } from '../../../src/status/page/document.ts'
import type { PageFacts } from '../../../src/status/page/facts.ts'
import { reportFacts } from '../../../src/status/page/report-facts.ts'
import { recordingTerminal } from '../../cli/recorder.ts'
import { corpusRoot } from '../../corpus/checkpoints/corpus.ts'
import { type Lab, openLab } from '../../engine/harness.ts'
import { cells, chromiumForTests, definitions, hostile, openPage } from './chromium.ts'

const browser = await chromiumForTests()
afterAll(() => browser?.close())

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const row = (at: string, zone: unknown, fare: unknown) => JSON.stringify({ at: `2024-03-01 ${at}`, zone, fare })

/** Reads the lab's folder once, in an order that makes rows late. */
async function readOnce() {
  const trips = source('trips', {
    objects: lab.input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', fare: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '1 hour' },
    onBadRow: 'quarantine',
    onBadObject: 'quarantine',
  })
  return backfill(
    pipeline(
      'revenue',
      { checkpoint: lab.checkpoint },
      trips.pipe(
        where('fare > 0'),
        tumbling('1 hour'),
        groupBy('zone'),
        aggregate({ trips: count(), revenue: sum('fare') }),
        to(files(lab.output, { format: 'json' })),
      ),
    ),
    { threads: 2, memory: '500MB', objectsPerEpoch: 1, flush: false },
  )
}

/** Runs `millrace report`. */
async function report(...args: readonly string[]) {
  const terminal = recordingTerminal()
  const code = await main(['report', lab.checkpoint, ...args], terminal)
  return { code, ...terminal }
}

const factsIn = (html: string): PageFacts =>
  JSON.parse(/<script type="application\/json" id="facts">(.*?)<\/script>/s.exec(html)?.[1] ?? '') as PageFacts

describe.skipIf(!browser)('a report in Chromium', () => {
  test('opens from a file, shows what the checkpoint holds, and asks for nothing', async () => {
    await lab.lines('a.jsonl', [row('08:10', 'north', 5), row('09:20', 'south', 7), row('10:30', 'north', 2)])
    await lab.lines('b.jsonl', [row('08:05', 'north', 1), row('10:40', 'south', 'a secret'), row('11:05', 'east', 4)])
    await lab.lines(`${hostile}.jsonl`, [row('08:06', '<script>document.title = "taken"</script>', '</script><b>')])
    await readOnce()
    const file = join(lab.root, `${hostile}.html`)
    expect(await report('-o', file)).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const html = await readFile(file, 'utf8')
    for (const value of ['a secret', '</b>', '<img', '<script>document.title'])
      expect(html.includes(value), value).toBe(false)
    expect(html.length).toBeLessThan(150_000)

    const { page, faults, asked } = await openPage(browser, pathToFileURL(file).href)
    const held = await inspect(lab.checkpoint)
    expect(held.states.map(({ openWindows }) => openWindows)).toEqual([2, undefined])
    expect(await definitions(page, '#figures')).toMatchObject({
      rows: String(held.totals.rows),
      objects: '3',
      epoch: String(held.epoch),
    })
    expect(await page.locator('#sentence').innerText()).toBe(
      `as of epoch ${held.epoch}: 7 rows of 3 objects are counted, 2 windows are open, all results are out`,
    )
    expect(await definitions(page, '#sources')).toEqual({
      'highest event time': '2024-03-01 11:05',
      watermark: '2024-03-01 10:05',
      read: '7 rows of 3 objects',
    })
    expect(await cells(page, '#windows')).toEqual([
      ['2024-03-01 10:00', '2024-03-01 11:00', '1'],
      ['2024-03-01 11:00', '2024-03-01 12:00', '1'],
    ])
    expect(await cells(page, '#sinks')).toEqual([
      ['flow-1', 'files', 'nothing', 'nothing', 'nothing', '', pathToFileURL(lab.output).href],
    ])
    expect(await definitions(page, '#checkpoint')).toMatchObject({ owner: 'nobody', term: String(held.term) })
    for (const part of ['#epochs', '.figures dt:text("up for")'])
      expect(await page.locator(part).isVisible()).toBe(false)

    const { rows: bad } = await query(lab.checkpoint, 'SELECT count(*) AS n, min(key) AS key FROM quarantine')
    const aside = await page.locator('#aside article').allInnerTexts()
    expect(aside).toEqual([
      expect.stringMatching(/^1 late row\n+the window had closed: .*\n+the first: b\.jsonl\n/),
      expect.stringMatching(
        new RegExp(`^${String(bad[0]?.n)} bad rows\n+column 'fare': expected DOUBLE\n+the first: `),
      ),
    ])
    expect(await page.title()).toMatch(/^revenue: /)
    expect(await page.locator('img, b, section script').count()).toBe(0)
    expect([faults, asked]).toEqual([[], [pathToFileURL(file).href]])
  })
})

test('a file that is there stays, and without a name the page goes to stdout', async () => {
  await lab.lines('a.jsonl', [row('08:10', 'north', 5)])
  await readOnce()
  const file = join(lab.root, 'report.html')
  await writeFile(file, 'mine')
  expect(await report('--output', file)).toMatchObject({ code: 2, stderr: expect.stringContaining('is there already') })
  expect(await readFile(file, 'utf8')).toBe('mine')
  const { code, stdout } = await report()
  expect([code, factsIn(stdout).totals?.rows]).toEqual([0, 1])
  expect(stdout.endsWith('</html>\n')).toBe(true)
})

test('rows and objects set aside are told by reason, of one object with the command that names it', async () => {
  await lab.lines('a.jsonl', [row('08:10', 'north', 'x'), 'no JSON', row('08:11', 'north', 'y'), row('nine', 'n', 1)])
  await lab.lines('b.jsonl', [row('08:12', 'south', 'z')])
  await writeFile(join(lab.input, `don't.jsonl.gz`), gzipSync(row('08:13', 'south', 1)).subarray(0, 20))
  await readOnce()
  const { aside } = factsIn((await report()).stdout)
  expect(aside.map(({ what, reason, count }) => [what, reason, count])).toEqual([
    ['bad rows', "column 'fare': expected DOUBLE", 3],
    ['bad rows', 'the row is broken: expected a JSON object (RFC 8259)', 1],
    ['bad rows', "column 'at': expected TIMESTAMP NOT NULL", 1],
    ['objects', expect.any(String), 1],
  ])
  expect(aside.at(-1)?.command).toMatch(/ retry .* '--object=don'\\''t\.jsonl\.gz'$/)
})

test('a checkpoint that holds nothing yet has its page', async () => {
  await readOnce()
  const facts = factsIn((await report()).stdout)
  expect(facts).toMatchObject({ totals: { rows: 0, objects: 0 }, aside: [], sources: [{ watermarkMs: null }] })
})

/** Of each release that has left checkpoints one of a process that was killed. */
const corpus = (await readdir(corpusRoot, { withFileTypes: true }))
  .filter(entry => entry.isDirectory() && entry.name !== 'pipelines')
  .map(({ name }) => name)

test.each(corpus)('what commit %s left behind has its page (P14)', async commit => {
  const [pipelineName = ''] = (await readdir(join(corpusRoot, commit))).filter(name => name !== 'inputs')
  const found = await checkpointReport(join(corpusRoot, commit, pipelineName, 'killed/checkpoint'))
  const facts = reportFacts(found, { version: '1.2.3', nowMs: 0, invocation: 'millrace' })
  expect(facts.sources.reduce((total, { read }) => total + (read?.rows ?? 0), 0)).toBe(found.totals.rows)
  const late = facts.aside.filter(({ what }) => what === 'late rows')
  expect(late.reduce((total, { count: some }) => total + some, 0)).toBe(found.totals.late)
  for (const { windows, openWindows } of facts.states) expect(windows).toHaveLength(openWindows ?? 0)
  expect(facts.checkpoint.headWrittenMs).toBeGreaterThan(0)
  expect(factsIn(pageDocument(facts, false).html)).toEqual(facts)
})
