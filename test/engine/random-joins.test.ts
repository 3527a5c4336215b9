/** Joins of two sources that are drawn, beside the rule looked up row by row (S4, S12). MILLRACE_RUNS=50 draws more. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join as pathOf } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { files, join, json, type Pipeline, pipeline, source, to } from '../../src/index.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { type Lab, openLab, run } from './harness.ts'

const runs = wholeFromEnvironment('MILLRACE_RUNS', 1)
const kinds = ['inner', 'left', 'right', 'full', 'semi', 'anti'] as const
const sides = ['left', 'right'] as const
type Side = (typeof sides)[number]

interface Row {
  readonly side: Side
  readonly object: string
  readonly t: number
  readonly k: number
  readonly v: number
}
interface Drawn {
  readonly lo: number
  readonly hi: number
  readonly delays: Readonly<Record<Side, number>>
  readonly rows: readonly Row[]
}

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

function draw(random: () => number): Drawn {
  const whole = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
  const lo = whole(-12, 6)
  const rows = sides.flatMap(side =>
    Array.from({ length: whole(2, 6) }, (_, object) =>
      Array.from({ length: whole(1, 8) }, (_, row) => ({
        side,
        object: `${object}.jsonl`,
        t: 10 * object + whole(-15, 15),
        k: whole(1, 3),
        v: 100 * object + row + 1,
      })),
    ).flat(),
  )
  return { lo, hi: lo + whole(0, 14), delays: { left: whole(0, 8), right: whole(0, 8) }, rows }
}

const timeOf = (t: number) => new Date(Date.UTC(2024, 0, 1) + t * 1000).toISOString().slice(0, 19).replace('T', ' ')

function flows(name: string, { lo, hi, delays }: Drawn): Pipeline {
  const of = (side: Side) =>
    ({
      objects: pathOf(lab.root, name, side),
      format: json(),
      watermark: { delay: `${delays[side]} seconds` },
    }) as const
  const leftColumns = { l_at: 'TIMESTAMP NOT NULL', k: 'BIGINT', l: 'BIGINT' } as const
  const rightColumns = { r_at: 'TIMESTAMP NOT NULL', k: 'BIGINT', r: 'BIGINT' } as const
  const left = source('left', { ...of('left'), columns: leftColumns, time: 'l_at' })
  const right = source('right', { ...of('right'), columns: rightColumns, time: 'r_at' })
  const untyped = join as unknown as (other: unknown, options: unknown) => never
  const ends = kinds.map(kind =>
    left.pipe(
      untyped(right, { on: ['k'], within: [`${lo} seconds`, `${hi} seconds`], kind }),
      to(files(pathOf(lab.root, name, `out-${kind}`), { format: 'json' })) as never,
    ),
  )
  return pipeline('drawn', { checkpoint: pathOf(lab.root, name, 'ck') }, ...(ends as never as [never]))
}

/** The rows that are on time: objects come by their names, and of one name those of the left side first. */
function onTime({ rows, delays }: Drawn): readonly Row[] {
  const objects = [...new Set(rows.map(({ object, side }) => `${object} ${side}`))].toSorted()
  const marks: Record<Side, number> = { left: Number.NEGATIVE_INFINITY, right: Number.NEGATIVE_INFINITY }
  return objects.flatMap(name => {
    const own = rows.filter(({ object, side }) => `${object} ${side}` === name)
    const clock = Math.min(marks.left, marks.right)
    const { side } = own[0] as Row
    marks[side] = Math.max(marks[side], ...own.map(({ t }) => t - delays[side]))
    return own.filter(({ t }) => t >= clock)
  })
}

function expected(drawn: Drawn, kind: (typeof kinds)[number]): readonly string[] {
  const { lo, hi } = drawn
  const of = (side: Side) => onTime(drawn).filter(row => row.side === side)
  const isPair = (l: Row, r: Row) => l.k === r.k && r.t - l.t >= lo && r.t - l.t <= hi
  const shown = (l: Row | undefined, r: Row | undefined) => `${(l ?? r)?.k} ${l?.v ?? null} ${r?.v ?? null}`
  const [left, right] = [of('left'), of('right')]
  const pairs = left.flatMap(l => right.filter(r => isPair(l, r)).map(r => shown(l, r)))
  const matched = left.filter(l => right.some(r => isPair(l, r))).map(l => shown(l, undefined))
  const lonelyLeft = left.filter(l => !right.some(r => isPair(l, r))).map(l => shown(l, undefined))
  const lonelyRight = right.filter(r => !left.some(l => isPair(l, r))).map(r => shown(undefined, r))
  const all = {
    inner: pairs,
    left: [...pairs, ...lonelyLeft],
    right: [...pairs, ...lonelyRight],
    full: [...pairs, ...lonelyLeft, ...lonelyRight],
    semi: matched,
    anti: lonelyLeft,
  }
  return all[kind].toSorted()
}

test('random joins of two sources give what the rule says of each row, in every kind', {
  timeout: 300_000,
}, async () => {
  const { random, label } = drawn()
  let late = 0
  for (let index = 0; index < 3 * runs; index++) {
    const name = `run-${index}`
    const plan = draw(random)
    for (const side of sides) {
      await mkdir(pathOf(lab.root, name, side), { recursive: true })
      for (const object of new Set(plan.rows.filter(row => row.side === side).map(row => row.object))) {
        const lines = plan.rows.filter(row => row.side === side && row.object === object)
        const v = side === 'left' ? 'l' : 'r'
        await writeFile(
          pathOf(lab.root, name, side, object),
          lines.map(row => `${JSON.stringify({ [`${v}_at`]: timeOf(row.t), k: row.k, [v]: row.v })}\n`).join(''),
        )
      }
    }
    await run(flows(name, plan), { objectsPerEpoch: 1 + Math.floor(random() * 4), final: true })
    late += plan.rows.length - onTime(plan).length
    for (const kind of kinds) {
      const found = await lab.rows({ output: pathOf(lab.root, name, `out-${kind}`), checkpoint: '' })
      const shown = found.map(({ k, l, r }) => `${k} ${l ?? null} ${r ?? null}`).toSorted()
      expect(shown, `${label}, ${kind}: ${JSON.stringify(plan)}`).toEqual(expected(plan, kind))
    }
  }
  expect(late, label).toBeGreaterThan(0)
})
