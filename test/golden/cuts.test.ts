import { link, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectDone, type GoldenLab, goldens, openGoldenLab } from './golden.ts'
import { expectSame, expectSameRows, type Seen } from './seen.ts'

describe.each(goldens)('the golden pipeline $name, each run a process of its own', golden => {
  let lab: GoldenLab
  let straight: Seen
  beforeAll(async () => {
    lab = await openGoldenLab()
    const site = lab.site(golden)
    await expectDone(lab.start(site), 'straight')
    straight = await lab.seen(site)
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  test('gives something to compare: output of several epochs, late rows, and totals that agree', () => {
    for (const files of straight.files) expect(Object.keys(files).length).toBeGreaterThan(4)
    for (const rows of straight.rows) expect(rows.length).toBeGreaterThan(40)
    expect(straight.late).toHaveLength(straight.totals.late ?? -1)
    if (!golden.isStateless) expect(straight.late.length).toBeGreaterThan(10)
    expect(straight.totals.quarantined).toBe(golden.input === 'months' ? 1 : 0)
  })

  test('writes the same bytes for the same cut, and has nothing to do when run again (I5, I8)', async () => {
    const site = lab.site(golden)
    const first = await expectDone(lab.start(site, { threads: 1 }), 'one thread')
    expectSame(await lab.seen(site), straight, 'one thread')
    const summary = JSON.parse(first.stdout)
    expect(summary).toMatchObject({ ...straight.totals, nothingToDo: false })
    const names = straight.files.flatMap(Object.keys).filter(name => !name.startsWith('snapshot/'))
    expect(summary.outputFiles).toHaveLength(names.length)
    const { stdout } = await expectDone(lab.start(site), 'again')
    expect(JSON.parse(stdout)).toMatchObject({ ...straight.totals, nothingToDo: true })
    expectSame(await lab.seen(site), straight, 'again')
  })

  test('gives the same rows, late ones and ledger however it is cut (I11)', async () => {
    for (const objectsPerEpoch of [3, 0]) {
      const site = lab.site(golden)
      await expectDone(lab.start(site, { objectsPerEpoch }), `${objectsPerEpoch} objects an epoch`)
      expectSameRows(await lab.seen(site), straight, `${objectsPerEpoch} objects an epoch`)
    }
  })

  test('gives the same rows when the cut changes between runs over a growing input (I11)', async () => {
    const site = lab.site(golden)
    const input = join(lab.lab.root, `growing-${golden.name}`)
    await mkdir(input)
    const keys = (await readdir(lab.inputs[golden.input])).toSorted()
    for (const [from, to, objectsPerEpoch] of [
      [0, 3, 2],
      [3, keys.length, 1],
    ] as const) {
      // Links: the same files, so the same identities (P1).
      for (const key of keys.slice(from, to)) await link(join(lab.inputs[golden.input], key), join(input, key))
      const ended = await expectDone(lab.start(site, { objectsPerEpoch, input, noFlush: to < keys.length }), `to ${to}`)
      expect(JSON.parse(ended.stdout)).toMatchObject({ objects: to })
    }
    expectSameRows(await lab.seen(site), straight, 'growing')
  })
})
