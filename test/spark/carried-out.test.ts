/** A portable plan is enough: DuckDB alone gives by it, cut anywhere and parted anyhow, the rows that a backfill gives. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { aggregates } from '../../operators/aggregates/registry.ts'
import { portablePlan } from '../../src/spark/portable.ts'
import { type Lab, openLab, run, type TextRow } from '../engine/harness.ts'
import { interpret, type PlannedObject } from './interpret.ts'
import { everyAggregate, names, outputOf, pipelineNamed, writeTrips, zonesCsv } from './pipelines.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  await writeTrips(lab)
  await writeFile(join(lab.root, 'zones.csv'), zonesCsv)
})
afterEach(() => lab[Symbol.asyncDispose]())

const sorted = (rows: readonly TextRow[]) =>
  rows.map(row => JSON.stringify(row, Object.keys(row).toSorted())).toSorted()

/** The objects in the ledger's order, with the day that each is of. */
async function objects(): Promise<readonly PlannedObject[]> {
  const keys = (await readdir(lab.input)).toSorted()
  return keys.map(key => {
    const [day = ''] = /\d{4}-\d{2}-\d{2}/.exec(key) ?? []
    const from = BigInt(Date.parse(`${day}T00:00:00Z`)) * 1000n
    return {
      source: 'trips',
      key,
      file: join(lab.input, key),
      bounds: { bounds_from: from, bounds_to: from + 86_400_000_000n },
    }
  })
}

const cut = <T>(items: readonly T[], size: number): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size))

/** Into how many parts, and objects of an epoch. Most of the time goes into planning queries, of each part anew. */
const cutIn = (name: string) => {
  const everyWay = [
    [1, 7],
    [7, 2],
    [200, 3],
  ] as const
  return ['hopping', 'a lookup before a window'].includes(name) ? everyWay : ([[3, 4]] as const)
}

test('the pipelines below have every aggregate', () => {
  const called = new Set(Object.values(everyAggregate).map(({ aggregate }) => aggregate))
  expect([...called].toSorted()).toEqual([...aggregates.keys()].toSorted())
})

test.each(names)('%s', { timeout: 240_000 }, async name => {
  const made = pipelineNamed(lab, name)
  const { totals } = await run(made, { objectsPerEpoch: 2 })
  // As another program has it.
  const plan = JSON.parse(JSON.stringify(await portablePlan(made))) as Awaited<ReturnType<typeof portablePlan>>
  const wanted: Record<string, string[]> = {}
  for (const [index, flow] of plan.flows.entries())
    wanted[flow.name] = sorted(await lab.rows({ ...lab, output: outputOf(lab, index + 1) }))
  expect(Object.values(wanted).every(rows => rows.length > 5)).toBe(true)
  const read = await objects()
  const zones = { zones: `FROM read_csv('${join(lab.root, 'zones.csv')}', all_varchar = true)` }
  for (const [parts, epoch] of cutIn(name)) {
    const carried = await interpret(plan, cut(read, epoch), parts, zones)
    for (const [flow, rows] of Object.entries(wanted)) expect(sorted(carried.flows[flow] ?? [])).toEqual(rows)
    expect(carried.late).toBe(totals.late)
    expect(carried.aside).toBe(totals.quarantinedRows)
  }
  expect(totals.quarantinedRows).toBeGreaterThan(50)
  if (plan.stages.length > 0) expect(totals.late).toBeGreaterThan(10)
})
