import { rm } from 'node:fs/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Summary } from '../../src/index.ts'
import { applyCut, cuts, inputs } from '../oracle/generate.ts'
import { type OracleInput, type OracleObject, oracle } from '../oracle/oracle.ts'
import { type Lab, openLab, outputFiles, outputHashes, type Place, run, runs, windowed } from './harness.ts'
import { expected, found, inKeyOrder, isoUs, isPositive, keyOf, oracleFlow, writeObject } from './ledger-files.ts'

// docs/internals/semantics.md row by row (test/oracle) against the engine, over files on disk. Each property draws a ledger, writes
// its objects, backfills them under a drawn cut, and compares everything the checkpoint and the output folder hold.

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

interface Drawn {
  readonly objects: readonly OracleObject[]
  readonly input: OracleInput
  readonly isBounded: boolean
  readonly format: 'parquet' | 'json'
  readonly output: 'parquet' | 'json'
}

const formats = fc.constantFrom('parquet' as const, 'json' as const)

function drawn(): fc.Arbitrary<Drawn> {
  return fc.tuple(fc.boolean(), formats, formats, fc.boolean()).chain(([isBounded, format, output, isFiltered]) =>
    inputs({ bounded: isBounded, keys: 1, values: 2, objectsMax: 7 }).map(input => {
      const objects = inKeyOrder(input.ledger as readonly OracleObject[])
      return {
        objects,
        input: { ...input, ledger: objects, ...(isFiltered ? { where: isPositive } : {}) },
        isBounded,
        format,
        output,
      }
    }),
  )
}

/** A place of its own and an input folder without the files of the draw before. */
let places = 0
async function fresh(): Promise<Place> {
  await rm(lab.input, { recursive: true })
  return lab.place(`draw-${places++}`)
}

const keysOf = ({ objects, format }: Drawn) => objects.map((object, index) => keyOf(object, index, format))

function sumOf(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}

/** Everything that can be told from outside equals the oracle. */
async function expectOracle(draw: Drawn, input: OracleInput, at: Place, summary: Summary): Promise<void> {
  const output = oracle(input)
  expect(await found(lab, at, keysOf(draw), draw.input.windows)).toEqual(expected(output))

  const rows = draw.objects.flatMap(({ rows, bounds }) => rows.map(row => ({ ...row, bounds })))
  const inside = rows.filter(({ t, bounds }) => t !== null && (!bounds || (t >= bounds[0] && t < bounds[1])))
  const timed = rows.filter(({ t }) => t !== null)
  expect(summary.totals).toMatchObject({
    rows: rows.length,
    late: output.late.length,
    objects: draw.objects.length,
    quarantined: 0,
    skipped: 0,
    quarantinedRows: output.quarantined.length,
    outsideBounds: timed.length - inside.length,
  })
  const ledger = (await lab.channel('ledger', at)).filter(row => row.is === 'object')
  expect(ledger.map(({ key }) => key)).toEqual(keysOf(draw))
  expect(sumOf(ledger.map(({ rows }) => Number(rows)))).toBe(rows.length)
  expect(ledger.map(({ late }) => Number(late))).toEqual(
    draw.objects.map((_, object) => output.late.filter(late => late.object === object).length),
  )

  const highest = inside.reduce<bigint | null>((mark, { t }) => (mark === null || (t ?? mark) > mark ? t : mark), null)
  const ends = new Map<bigint, number>()
  for (const { windowStart } of output.open) ends.set(windowStart, (ends.get(windowStart) ?? 0) + 1)
  expect(summary.openWindows).toBe(ends.size)
  expect(summary.farAhead).toEqual(
    [...ends]
      .filter(([start]) => highest !== null && start > highest)
      .map(([start, groups]) => ({
        flow: 'flow-1',
        windowStart: `${isoUs(start).slice(0, -4)}Z`,
        windowEnd: `${isoUs(start + draw.input.windows.sizeUs).slice(0, -4)}Z`,
        groups,
      }))
      .slice(0, 100),
  )
}

describe('one run', () => {
  test('rows, late pairs, quarantined rows, open windows, watermark and totals are those of the oracle, whatever the cut (S2, S3, S6, S8, S9, I11)', async () => {
    await fc.assert(
      fc.asyncProperty(drawn(), fc.constantFrom(1, 2, 3, 100), async (draw, objectsPerEpoch) => {
        const at = await fresh()
        for (const [index, object] of draw.objects.entries()) await writeObject(lab, object, index, draw.format)
        const summary = await run(windowed(lab, at, oracleFlow(draw.input, draw.format, draw.output, draw.isBounded)), {
          objectsPerEpoch,
          flush: draw.input.flush,
        })
        await expectOracle(draw, draw.input, at, summary)
        expect(summary.run.objects).toBe(draw.objects.length)
        expect(summary.outputFiles.map(file => file.split('/').at(-1))).toEqual(await outputFiles(at.output))
      }),
      runs(20),
    )
  })

  test('one thread and two write the same bytes under the same cut: output, state, late and quarantined rows (I11)', async () => {
    await fc.assert(
      fc.asyncProperty(drawn(), fc.constantFrom(1, 2, 3, 100), async (draw, objectsPerEpoch) => {
        await fresh()
        for (const [index, object] of draw.objects.entries()) await writeObject(lab, object, index, draw.format)
        const flow = oracleFlow(draw.input, draw.format, draw.output, draw.isBounded)
        const [first, second] = [1, 2].map(threads => ({ threads, at: lab.place(`threads-${places}-${threads}`) }))
        for (const side of [first, second])
          if (side) await run(windowed(lab, side.at, flow), { objectsPerEpoch, flush: false, threads: side.threads })
        if (!first || !second) throw new Error('two sides')
        expect(await outputHashes(second.at.output)).toEqual(await outputHashes(first.at.output))
        expect(await channelHashes(second.at)).toEqual(await channelHashes(first.at))
      }),
      runs(8),
    )
  })
})

async function channelHashes(at: Place): Promise<Record<string, string[]>> {
  const { channels } = (await lab.head(at)).manifest
  return Object.fromEntries(Object.entries(channels).map(([name, parts]) => [name, parts.map(part => part.sha256)]))
}

describe('several runs', () => {
  test('files that come in any number of runs, some of which flush, give what one ledger with those flushes gives (S1, S6, I11)', async () => {
    await fc.assert(
      fc.asyncProperty(
        drawn().chain(draw =>
          fc.tuple(
            fc.constant(draw),
            cuts(draw.objects.length),
            fc.array(fc.boolean(), { minLength: draw.objects.length, maxLength: draw.objects.length }),
            fc.constantFrom(1, 2, 100),
          ),
        ),
        async ([draw, sizes, flushes, objectsPerEpoch]) => {
          const at = await fresh()
          const flow = oracleFlow(draw.input, draw.format, draw.output, draw.isBounded)
          const ledger: (OracleObject | 'flush')[] = []
          let index = 0
          let summary: Summary | undefined
          for (const [step, objects] of applyCut(draw.objects, sizes).entries()) {
            for (const object of objects) await writeObject(lab, object, index++, draw.format)
            const flush = flushes[step] ?? false
            summary = await run(windowed(lab, at, flow), { objectsPerEpoch, flush })
            ledger.push(...objects, ...(flush ? (['flush'] as const) : []))
            expect(summary.run.objects).toBe(objects.length)
          }
          if (summary) await expectOracle(draw, { ...draw.input, ledger, flush: false }, at, summary)
          // Once more with nothing new: nothing happens, unless the last run left the flush to this one.
          const before = await lab.head(at)
          const again = await run(windowed(lab, at, flow), { flush: false })
          expect(again).toMatchObject({ nothingToDo: true, totals: before.manifest.engine.totals })
          expect((await lab.head(at)).manifest.epoch).toBe(before.manifest.epoch)
        },
      ),
      runs(16),
    )
  })

  test('a run that left its windows open is flushed by a later one that finds no new file (S6)', async () => {
    await fc.assert(
      fc.asyncProperty(drawn(), async draw => {
        const at = await fresh()
        for (const [index, object] of draw.objects.entries()) await writeObject(lab, object, index, draw.format)
        const flow = oracleFlow(draw.input, draw.format, draw.output, draw.isBounded)
        await run(windowed(lab, at, flow), { flush: false })
        const summary = await run(windowed(lab, at, flow))
        await expectOracle(draw, { ...draw.input, flush: true }, at, summary)
      }),
      runs(8),
    )
  })
})
