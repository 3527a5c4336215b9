/**
 * Whole backfills over drawn files with proofs and without: output, ledger, rows that were set aside and the summary are
 * the same. `MILLRACE_CASES=200` for more of them.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { backfillWith } from '../../../src/engine/backfill.ts'
import { type Components, components } from '../../../src/engine/components.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  type Pipeline,
  pipeline,
  query,
  source,
  to,
  tumbling,
} from '../../../src/index.ts'
import type { Format } from '../../../src/plan/format.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { type Lab, openLab, type Place } from '../../engine/harness.ts'
import { wholeFromEnvironment } from '../../golden/drawn.ts'
import { seed } from '../../seed.ts'

const cases = wholeFromEnvironment('MILLRACE_CASES', 4)
const random = seededRandom(seed)
const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
const upTo = (most: number) => 1 + Math.floor(random() * most)
const shuffled = <T>(all: readonly T[]): T[] =>
  all
    .map(one => ({ one, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ one }) => one)
const padded = (most: number) => String(upTo(most)).padStart(2, '0')
const digits = (most: number) => Array.from({ length: upTo(most) }, () => upTo(9)).join('')

const types = [
  'BIGINT',
  'INTEGER',
  'SMALLINT',
  'TINYINT',
  'DOUBLE',
  'DECIMAL(18,2)',
  'DECIMAL(20,5)',
  'BOOLEAN',
  'VARCHAR',
  'DATE',
  'TIMESTAMP',
  'TIMESTAMPTZ',
] as const
const wholeDigits: Partial<Record<string, number>> = { BIGINT: 15, INTEGER: 9, SMALLINT: 4, TINYINT: 2 }
const names = ['a', 'B', 'd e', "it's", 'x.y', 'ä', 'select', 'row', 'json']
const texts = ['a', 'ä€😀', 'x "q" \\ / \n\t', '', ' ', 'null', '1', '{}', 'e\u0301', 'b\u2028', '日本語']
/** At the edges of what a column may hold, of other types, and no JSON at all. */
const odd = {
  whole: '1.0 1.5 1e2 -0 01 127 128 32768 2147483648 9223372036854775807 9223372036854775808 "1"',
  fraction:
    '-0.0 1E-2 0.005 1.005 2.675 99999999999999.99 9999999999999999.99 0.1234567890123456789 4.9e-324 NaN "0.5"',
  time:
    '"2024-02-30" "2024-02-29" "2023-02-29" "2024-1-1" "2024-01-01T24:00:00" "2024-01-01T12:00:00+02:00" "infinity" ' +
    '"2024-01-01T12:00:00.1234567" "2024-01-01T12:00" "epoch" "0000-01-01" "2024-01-01" 1704067200',
  other: 'null "" 1 1.5 true "true" True [1] {"a":1} "\\u0041" "\\ud83d\\ude00" "\\ud800" "\\u0000"',
}

function oddOf(type: string): string {
  const own =
    type in wholeDigits
      ? odd.whole
      : /^DOUBLE|^DECIMAL/.test(type)
        ? odd.fraction
        : /^DATE|^TIME/.test(type)
          ? odd.time
          : odd.other
  return pick((random() < 0.8 ? own : odd.other).split(' '))
}
const oddLines = ['', ' ', '[]', 'null', '{}', '{"t":', '// x']

/** A value in a form that fits the type. */
function fitting(type: string): string {
  const sign = random() < 0.3 ? '-' : ''
  const whole = wholeDigits[type]
  if (whole !== undefined) return random() < 0.1 ? '0' : sign + digits(whole)
  if (type === 'DOUBLE') return `${sign}${digits(15)}.${digits(15)}`
  if (type.startsWith('DECIMAL')) return `${sign}${digits(9)}${random() < 0.8 ? `.${digits(2)}` : ''}`
  if (type === 'BOOLEAN') return pick(['true', 'false'])
  if (type === 'VARCHAR') return JSON.stringify(pick(texts))
  const day = `${1_000 + upTo(8_999)}-${padded(12)}-${padded(28)}`
  if (type === 'DATE') return `"${day}"`
  return `"${day}${pick(['T', ' '])}${padded(23)}:${padded(59)}:${padded(59)}${random() < 0.5 ? `.${digits(6)}` : ''}${pick(['', 'Z'])}"`
}

function valueOf(type: string): string {
  return type === 'time' ? `"2024-01-${padded(28)}T${padded(23)}:00:00"` : fitting(type)
}

interface Drawn {
  readonly columns: Readonly<Record<string, string>>
  readonly bodies: readonly string[]
}

function draw(): Drawn {
  const declared = shuffled(names)
    .slice(0, upTo(5))
    .map(name => ({ name, type: pick(types), isNeeded: random() < 0.3 }))
  const renamed = random() < 0.3 ? declared[0]?.name : undefined
  const columns = Object.fromEntries(
    declared.map(({ name, type, isNeeded }) => [
      name,
      `${type}${isNeeded ? ' NOT NULL' : ''}${name === renamed ? ' FROM other' : ''}`,
    ]),
  )
  const extra = random() < 0.5 ? [{ name: 'extra', type: 'VARCHAR' }] : []
  const fields = shuffled([
    { name: 't', type: 'time' },
    ...declared.map(({ name, type }) => ({ name: name === renamed ? 'other' : name, type })),
    ...extra,
  ])
  const body = () => {
    const [before, after, end] = [pick(['', '', ' ', '\t']), pick(['', '', ' ']), pick(['\n', '\n', '\r\n'])]
    const written = (cells: readonly (readonly [name: string, value: string])[]) =>
      `{${cells.map(([name, value]) => `${JSON.stringify(name)}:${before}${value}${after}`).join(',')}}`
    const row = () => fields.map(({ name, type }) => [name, valueOf(type)] as const)
    const lines = Array.from({ length: upTo(12) }, row)
    const last = row()
    // One thing is odd in a file: beside another one it would not show what a proof lets through.
    const kind = random()
    const [at, field] = pick([...fields.entries()])
    if (kind < 0.6 && field.type !== 'time') last[at] = [field.name, oddOf(field.type)]
    else if (kind < 0.65) last.reverse()
    else if (kind < 0.7) last.pop()
    else if (kind < 0.75) last.push(last[0] ?? ['', '1'])
    const more = kind > 0.95 ? [pick(oddLines)] : []
    return [...[...lines, last].map(written), ...more].join(end) + pick([end, ''])
  }
  return { columns, bodies: Array.from({ length: 24 }, body) }
}

/** With a format of JSON that is changed in this way. */
function withJson(change: (format: Format) => Format): Components {
  const formats = components.formats.map(connector => {
    if (connector.kind !== 'json') return connector
    return { ...connector, create: (...args: Parameters<typeof connector.create>) => change(connector.create(...args)) }
  })
  return { ...components, formats }
}

function countsOf({ input }: Lab, at: Place, columns: Drawn['columns']): Pipeline {
  const declared = { t: 'TIMESTAMP NOT NULL', ...columns } as { readonly t: 'TIMESTAMP NOT NULL' }
  const settings = {
    objects: input,
    format: json(),
    columns: declared,
    time: 't',
    watermark: { delay: '1 hour' },
  } as const
  return pipeline(
    'proof-runs',
    { checkpoint: at.checkpoint },
    source('lines', { ...settings, onBadRow: 'quarantine' }).pipe(
      tumbling('1 day'),
      groupBy(...(Object.keys(columns) as never[])),
      aggregate({ n_of_rows: count() }),
      to(files(at.output, { format: 'parquet' })),
    ),
  )
}

/** Of a summary what says when and where. */
const ownKeys = new Set(['seconds', 'checkpoint', 'outputFiles', 'outputs'])

/** All that a user can see of it but places and times. */
async function seen(parts: Components, lab: Lab, at: Place, columns: Drawn['columns']) {
  // One file that is not proven leaves its whole mini-batch to the checked casts.
  const summary = await backfillWith(parts, countsOf(lab, at, columns), { objectsPerEpoch: 1 })
  const rows = async (sql: string) => (await query(at.checkpoint, sql)).rows
  return {
    summary: JSON.stringify(summary, (key, value: unknown) =>
      ownKeys.has(key) ? '' : typeof value === 'bigint' ? String(value) : value,
    ),
    output: await lab.rows(at),
    ledger: await rows(
      'SELECT seq, key, outcome, reason, rows, late, quarantined_rows, high_mark FROM ledger ORDER BY seq',
    ),
    aside: await rows('SELECT * FROM quarantine ORDER BY ALL'),
  }
}

test(
  `seed ${seed}: backfills are the same with proofs and without`,
  async () => {
    let [proven, aside] = [0, 0]
    const counted = withJson(format => ({
      ...format,
      async ready(object) {
        const ready = await format.ready(object)
        if (ready.is === 'ready' && ready.provenFields) proven++
        return ready
      },
    }))
    const strict = withJson(format => {
      const { readProven: _, ...rest } = format
      return rest
    })
    for (let number = 0; number < cases; number++) {
      await using lab = await openLab()
      const { columns, bodies } = draw()
      for (const [index, body] of bodies.entries()) await writeFile(join(lab.input, `${index}.jsonl`), body)
      const found = await seen(counted, lab, lab.place('proven'), columns)
      expect(found, `case ${number}: ${JSON.stringify(columns)}`).toEqual(
        await seen(strict, lab, lab.place('strict'), columns),
      )
      aside += found.aside.length
    }
    // The same files are never proven throughout, nor all refused.
    expect([proven > cases / 2, aside > 0]).toEqual([true, true])
  },
  Math.max(300_000, cases * 60_000),
)
