import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Manifest } from '../../checkpoints/types.ts'
import {
  expectDone,
  type Golden,
  type GoldenLab,
  goldens,
  headWrites,
  openGoldenLab,
  type Site,
  until,
} from './golden.ts'
import { expectSame, visibleFiles } from './seen.ts'

const sensors = goldens.find(({ name }) => name === 'sensors') as Golden
const slow: Golden = { name: 'slow', input: 'months' }

describe('signals to a backfill', () => {
  let lab: GoldenLab
  beforeAll(async () => {
    lab = await openGoldenLab()
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  test('SIGTERM finishes the epoch in flight, publishes it, releases the checkpoint and exits with 143', async () => {
    const site = lab.site(sensors)
    await expectDone(lab.start(site), 'straight')
    const straight = await lab.seen(site)

    const stopped = lab.site(sensors)
    const child = lab.start(stopped)
    // The claim is the first write of HEAD, the first epoch the second.
    await until(child, async () => (await headWrites(stopped)) >= 2)
    child.kill('SIGTERM')
    const { code, stdout, stderr } = await child.ended
    expect(stderr).toContain('SIGTERM: finishing the epoch in flight')
    expect(code, stderr).toBe(143)
    const summary = JSON.parse(stdout)
    expect(summary).toMatchObject({ drained: true, nothingToDo: false })
    expect(summary.objects).toBeLessThan(straight.totals.objects ?? 0)
    // `seen` itself expects a clean stop: released, all published, nothing staged.
    const seen = await lab.seen(stopped)
    expect(seen.totals).toMatchObject({ objects: summary.objects, epochs: summary.epochs })
    expect(straight.files).toMatchObject(seen.files)

    await expectDone(lab.start(stopped), 'resumed')
    expectSame(await lab.seen(stopped), straight, 'resumed')
  })

  test('a second SIGTERM stops in the middle of an epoch, and the next start does all of it', async () => {
    const input = join(lab.inputs.months, 'green_tripdata_2022-01.*')
    const straight = lab.site(slow)
    await expectDone(lab.start(straight, { input }), 'straight')

    const site = lab.site(slow)
    const child = lab.start(site, { input, spill: lab.spillOf(site) })
    await until(child, () => isFetched(site))
    child.kill('SIGTERM')
    await until(child, () => child.stderr().includes('finishing the epoch in flight'))
    child.kill('SIGTERM')
    const { code, stdout, stderr } = await child.ended
    expect(stderr).toContain('SIGTERM: stopping now')
    expect(code, stderr).toBe(143)
    expect(stdout).toBe('')
    expect(await manifestOf(site)).toMatchObject({ epoch: 0, channels: {} })
    expect(await visibleFiles(site.outputs[0] as string)).toEqual({})
    expect(await readdir(lab.spillOf(site)), 'its folder is gone').toEqual([])

    const { stdout: summary } = await expectDone(lab.start(site, { input }), 'resumed')
    expect(JSON.parse(summary)).toMatchObject({ objects: 1, epochs: 2, rows: 3000, drained: false })
    expect(await visibleFiles(site.outputs[0] as string)).toEqual(await visibleFiles(straight.outputs[0] as string))
    expect((await manifestOf(site)).engine.totals).toEqual((await manifestOf(straight)).engine.totals)
  })

  async function manifestOf({ checkpoint }: Site): Promise<Manifest> {
    return (await lab.lab.head({ checkpoint, output: '' })).manifest
  }

  /** An object has come into the spool: its epoch is under way. */
  async function isFetched(site: Site): Promise<boolean> {
    const names = await readdir(lab.spillOf(site), { recursive: true }).catch((): string[] => [])
    return names.some(name => /spool.\d+$/.test(name))
  }
})
