import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  count,
  files,
  groupBy,
  hopping,
  isMillraceError,
  json,
  pipeline,
  session,
  source,
  to,
  tumbling,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, outputFiles, quoted, run } from '../engine/harness.ts'

// Small inputs of our own, each for one rule that Flink, Spark Structured Streaming or Kafka Streams document or test, with
// what each of them gives (docs/conformance.md). Rows are a key and its second, 'a12'; '-12' has no key.

interface Case {
  readonly name: string
  readonly window: 'tumbling 10' | 'hopping 10 every 5' | 'session 10'
  /** Changes of results instead of final ones. */
  readonly emit?: 'update'
  /** Results of which only these are wanted, as SQL. */
  readonly having?: string
  readonly delay: number
  /** Rows of one object each. */
  readonly objects: readonly string[]
  /** Default 1. */
  readonly objectsPerEpoch?: number
  /** What comes out after each object: windows with their counts, and rows that are late for one. Nothing: refused. */
  readonly own: readonly string[]
  /** The same of others, 'the same' as ours, or nothing where they do not say. */
  readonly flink?: readonly string[] | 'the same'
  readonly spark?: readonly string[] | 'the same'
  readonly kafka?: readonly string[] | 'the same'
  readonly why: string
}

const cases: readonly Case[] = [
  {
    name: 'a window closes when the watermark is at its end',
    window: 'tumbling 10',
    delay: 5,
    objects: ['a1 a9', 'a14', 'a15'],
    own: ['', '', 'a [0, 10) 2'],
    flink: 'the same',
    spark: 'the same',
    kafka: 'the same',
    why: '',
  },
  {
    name: 'a row behind the watermark counts while its window is open',
    window: 'tumbling 10',
    delay: 5,
    objects: ['a1', 'a14', 'a3', 'a15'],
    own: ['', '', '', 'a [0, 10) 2'],
    flink: 'the same',
    spark: 'the same',
    kafka: 'the same',
    why: '',
  },
  {
    name: 'a row of a closed window is late',
    window: 'tumbling 10',
    delay: 5,
    objects: ['a1', 'a15', 'a8'],
    own: ['', 'a [0, 10) 1', 'late a8 of [0, 10)'],
    flink: 'the same',
    spark: 'the same',
    kafka: 'the same',
    why: 'Spark and Kafka Streams drop and count it, Flink too or gives it to a side output, millrace keeps it in the late ledger',
  },
  {
    name: 'allowed lateness',
    window: 'tumbling 10',
    delay: 5,
    objects: ['a1', 'a15', 'a8'],
    own: ['', 'a [0, 10) 1', 'late a8 of [0, 10)'],
    flink: ['', 'a [0, 10) 1', 'a [0, 10) 2'],
    why: 'With `allowedLateness` Flink gives a window again. Results of millrace come once; a longer delay waits instead',
  },
  {
    name: 'an old row behind a new one in one object',
    window: 'tumbling 10',
    delay: 5,
    objects: ['a1', 'a30 a2'],
    own: ['', 'a [0, 10) 2'],
    flink: 'the same',
    spark: 'the same',
    kafka: ['', 'a [0, 10) 1, late a2 of [0, 10)'],
    why: 'Kafka Streams moves its time with each record. millrace judges a row by the watermark before its object, Spark by that before the batch, Flink by the last one that came, here between objects',
  },
  {
    name: 'the same three rows in objects that are read in one go',
    window: 'tumbling 10',
    delay: 5,
    objects: ['a1', 'a30', 'a2'],
    objectsPerEpoch: 3,
    own: ['', '', 'a [0, 10) 1, late a2 of [0, 10)'],
    spark: ['', '', 'a [0, 10) 2'],
    kafka: 'the same',
    why: 'In one micro-batch of Spark a2 counts, in batches of its own it is late. In millrace the cut changes nothing',
  },
  {
    name: 'a row that is late for one of its windows',
    window: 'hopping 10 every 5',
    delay: 0,
    objects: ['a1', 'a12', 'a7', 'a15'],
    own: ['', 'a [-5, 5) 1, a [0, 10) 1', 'late a7 of [0, 10)', 'a [5, 15) 2'],
    flink: ['', 'a [-5, 5) 1, a [0, 10) 1', '', 'a [5, 15) 2'],
    spark: 'the same',
    kafka: 'the same',
    why: 'The results are the same. For the side output of Flink a row is late only if all its windows are closed',
  },
  {
    name: 'a time before 1970',
    window: 'tumbling 10',
    delay: 0,
    objects: ['a-3 a3', 'a10'],
    own: ['a [-10, 0) 1', 'a [0, 10) 1'],
    flink: 'the same',
    spark: 'the same',
    why: 'Kafka Streams takes no times below zero',
  },
  {
    name: 'a row without a key',
    window: 'tumbling 10',
    delay: 0,
    objects: ['-1 a2', 'a10'],
    own: ['', '- [0, 10) 1, a [0, 10) 1'],
    flink: 'the same',
    spark: 'the same',
    kafka: ['', 'a [0, 10) 1'],
    why: 'In SQL NULL is a group. Kafka Streams leaves such records out',
  },
  {
    name: 'rows that come out of order are one session',
    window: 'session 10',
    delay: 30,
    objects: ['a40', 'a25', 'a33', 'b100'],
    own: ['', '', '', 'a [25, 50) 3'],
    flink: 'the same',
    spark: 'the same',
    kafka: 'the same',
    why: 'Kafka Streams writes the window as [25, 40], from the first record to the last',
  },
  {
    name: 'a row that joins two sessions',
    window: 'session 10',
    delay: 30,
    objects: ['a0', 'a15', 'a8', 'b100'],
    own: ['', '', '', 'a [0, 25) 3'],
    flink: 'the same',
    spark: 'the same',
    kafka: 'the same',
    why: '',
  },
  {
    name: 'rows exactly a gap apart',
    window: 'session 10',
    delay: 5,
    objects: ['a0 a10', 'b100'],
    own: ['', 'a [0, 10) 1, a [10, 20) 1'],
    flink: ['', 'a [0, 20) 2'],
    spark: ['', 'a [0, 20) 2'],
    kafka: ['', 'a [0, 20) 2'],
    why: 'In millrace, as in Beam, sessions are windows whose end is not part of them, so those that only touch stay apart. Write a gap one millisecond longer for theirs',
  },
  {
    name: 'rows more than a gap apart',
    window: 'session 10',
    delay: 5,
    objects: ['a0 a11', 'b100'],
    own: ['', 'a [0, 10) 1, a [11, 21) 1'],
    flink: 'the same',
    spark: 'the same',
    kafka: 'the same',
    why: '',
  },
  {
    name: 'when a session comes',
    window: 'session 10',
    delay: 5,
    objects: ['a0', 'b16', 'b25'],
    own: ['', '', 'a [0, 10) 1'],
    flink: ['', 'a [0, 10) 1', ''],
    spark: ['', 'a [0, 10) 1', ''],
    kafka: ['', 'a [0, 10) 1', ''],
    why: 'The others give a session once its end is behind the watermark, millrace one gap later: see the next row',
  },
  {
    name: 'a row between a session that has ended and the watermark',
    window: 'session 10',
    delay: 5,
    objects: ['a0', 'b16', 'a8', 'b60'],
    own: ['', '', '', 'a [0, 18) 2, b [16, 26) 1'],
    flink: ['', 'a [0, 10) 1', '', 'a [8, 18) 1, b [16, 26) 1'],
    spark: ['', 'a [0, 10) 1', '', 'a [8, 18) 1, b [16, 26) 1'],
    why: 'a8 is on time and less than a gap from a0, so they are one session in millrace. The others have given a0 and forgotten it, so with them the answer depends on what else came in between',
  },
  {
    name: 'a row that is late by itself, whose session is open',
    window: 'session 10',
    delay: 5,
    objects: ['a0', 'a9', 'a18', 'a27', 'a11', 'b100'],
    own: ['', '', '', '', 'late a11 of [11, 21)', 'a [0, 37) 4'],
    flink: ['', '', '', '', '', 'a [0, 37) 5'],
    spark: 'the same',
    kafka: ['', '', '', '', '', 'a [0, 37) 5'],
    why: 'millrace and Spark judge the row alone, Flink and Kafka Streams the session that it becomes a part of',
  },
  {
    name: 'an update for each result that has changed',
    window: 'tumbling 10',
    emit: 'update',
    delay: 5,
    objects: ['a1', 'b2', 'a3'],
    own: ['a [0, 10) 1', 'b [0, 10) 1', 'a [0, 10) 2'],
    spark: 'the same',
    kafka: 'the same',
    why: '',
  },
  {
    name: 'two rows of one result in one object',
    window: 'tumbling 10',
    emit: 'update',
    delay: 5,
    objects: ['a1 a3'],
    own: ['a [0, 10) 2'],
    spark: 'the same',
    kafka: ['a [0, 10) 1, a [0, 10) 2'],
    why: 'Kafka Streams gives one for each record, where no cache holds it back',
  },
  {
    name: 'a window that closes gives no further update, and a row after that is late',
    window: 'tumbling 10',
    emit: 'update',
    delay: 5,
    objects: ['a1', 'a15', 'a8'],
    own: ['a [0, 10) 1', 'a [10, 20) 1', 'late a8 of [0, 10)'],
    spark: 'the same',
    kafka: 'the same',
    why: '',
  },
  {
    name: 'a result that a filter lets go no more',
    window: 'tumbling 10',
    emit: 'update',
    having: 'n < 2',
    delay: 5,
    objects: ['a1', 'a3'],
    own: ['a [0, 10) 1', 'delete a [0, 10)'],
    flink: 'the same',
    spark: ['a [0, 10) 1', ''],
    kafka: 'the same',
    why: 'Spark leaves the row out of its update, so that the sink keeps the old one. Flink is a query with HAVING, Kafka Streams a filter of its table',
  },
  {
    name: 'updates of sessions',
    window: 'session 10',
    emit: 'update',
    delay: 5,
    objects: ['a0', 'a5'],
    own: [],
    spark: 'the same',
    kafka: ['a [0, 10) 1', 'delete a [0, 10), a [0, 15) 2'],
    why: 'millrace and Spark refuse them. Kafka Streams takes a session back when it grows',
  },
]

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const at = (seconds: number) => new Date(seconds * 1000).toISOString()

function lineOf(row: string): string {
  const [, key, second] = /^(\D)(-?\d+)$/.exec(row) ?? []
  return JSON.stringify({ key: key === '-' ? null : key, at: at(Number(second)) })
}

/** What came out after each object; of several in one epoch after the last. */
async function play({
  window,
  delay,
  objects,
  objectsPerEpoch = 1,
  emit,
  having = 'true',
}: Case): Promise<readonly string[]> {
  for (const [index, rows] of objects.entries())
    await lab.lines(`${String(index).padStart(3, '0')}.jsonl`, rows.split(' ').map(lineOf))
  const events = source('events', {
    objects: lab.input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', key: 'VARCHAR' },
    time: 'at',
    watermark: { delay: `${delay}s` },
  })
  const windowed =
    window === 'session 10'
      ? events.pipe(session('10s'))
      : window === 'tumbling 10'
        ? events.pipe(tumbling('10s'))
        : events.pipe(hopping('10s', '5s'))
  const flow = windowed.pipe(
    groupBy('key'),
    aggregate({ n: count() }),
    where(having),
    to(files(lab.output, { format: 'parquet' }), emit === undefined ? {} : { emit }),
  )
  const isRefused = await run(pipeline('case', { checkpoint: lab.checkpoint }, flow), { objectsPerEpoch, flush: false })
    .then(() => false)
    .catch((error: unknown) => {
      if (isMillraceError(error) && error.kind === 'user') return true
      throw error
    })
  if (isRefused) return []

  const came = objects.map((): string[] => [])
  for (const file of await outputFiles(lab.output)) {
    const epoch = Number(/part-0*(\d+)/.exec(file)?.[1])
    const rows = await lab.sql(
      `SELECT coalesce(key, '-') AS key, epoch(window_start) AS start, epoch(window_end) AS end, n,
         ${emit === 'update' ? "_op = 'delete'" : 'false'} AS gone FROM ${quoted(join(lab.output, file))} ORDER BY ALL`,
    )
    const last = Math.min(epoch * objectsPerEpoch, objects.length) - 1
    for (const { key, start, end, n, gone } of rows) {
      const window = `${key} [${Number(start)}, ${Number(end)})`
      came[last]?.push(gone === 'true' ? `delete ${window}` : `${window} ${n}`)
    }
  }
  for (const { _seq, key, at: time, _window_start, _window_end } of await lab.channels('late-')) {
    const last = Math.min(Math.ceil(Number(_seq) / objectsPerEpoch) * objectsPerEpoch, objects.length) - 1
    const second = Date.parse(`${time}Z`) / 1000
    came[last]?.push(`late ${key}${second} of [${Number(_window_start) / 1e6}, ${Number(_window_end) / 1e6})`)
  }
  return came.map(parts => parts.join(', '))
}

/** The row of the page that tells of a case. */
function told({
  name,
  window,
  emit,
  having,
  delay,
  objects,
  objectsPerEpoch,
  own,
  flink,
  spark,
  kafka,
  why,
}: Case): string {
  const steps = (each: readonly string[]) => each.map(step => step || '–').join(' / ') || 'refused'
  const others = [flink, spark, kafka].map(given =>
    given === undefined ? '' : given === 'the same' ? given : steps(given),
  )
  const how = [
    window,
    `delay ${delay}`,
    ...(emit === undefined ? [] : ['updates']),
    ...(having === undefined ? [] : [`where ${having}`]),
    ...(objectsPerEpoch === undefined ? [] : ['in one epoch']),
  ]
  const input = `${how.join(', ')}: ${steps(objects)}`
  return `| ${[name, input, steps(own), ...others, why].join(' | ')} |`.replaceAll('  ', ' ')
}

describe('what Flink, Spark and Kafka Streams say', () => {
  test.each(cases)('$name', async given => {
    expect(await play(given)).toEqual(given.own)
    // What is told of as another answer is one.
    for (const theirs of [given.flink, given.spark, given.kafka])
      if (theirs !== 'the same' && theirs !== undefined) expect(theirs).not.toEqual(given.own)
  })

  test('docs/conformance.md tells of each case as it is here', async () => {
    const page = await readFile(join(import.meta.dirname, '../../docs/conformance.md'), 'utf8')
    const section = page.split('\n## ').find(part => part.startsWith('Flink, Spark'))
    const rows = (section ?? '').split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| Case'))
    expect(rows).toEqual(cases.map(told))
  })
})
