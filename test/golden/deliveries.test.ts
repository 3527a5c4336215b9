import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawn, wholeFromEnvironment } from './drawn.ts'
import {
  expectDone,
  type Golden,
  type GoldenLab,
  headWrites,
  openGoldenLab,
  pause,
  type Site,
  until,
} from './golden.ts'

/** MILLRACE_KILLS=1000 searches longer. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 6)
/** Kills of one life, after which it is left to end. */
const killsOfLifeMax = 4
/** From a write of HEAD to the kill: about an epoch with its delivery. */
const commitWaitMsMax = 60

const handedOver: Golden = { name: 'handed-over', input: 'months', folders: ['GOLDEN_TAKEN'] }

describe(`rows that are handed over by a process that is killed ${kills} times`, () => {
  let lab: GoldenLab
  beforeAll(async () => {
    lab = await openGoldenLab()
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  /** A line for each epoch that was taken: its number, its rows and their hash. */
  async function taken({ outputs: [folder] }: Site): Promise<readonly string[]> {
    return (await readFile(join(String(folder), 'lines'), 'utf8')).split('\n').slice(0, -1)
  }

  test(
    'all arrive at least once, in order, and what comes again is the same (P15, I10)',
    async () => {
      const { random, label } = drawn()
      const straightSite = lab.site(handedOver)
      await expectDone(lab.start(straightSite), 'straight')
      const straight = await taken(straightSite)
      expect(straight.length).toBeGreaterThan(4)
      const writes = await headWrites(straightSite)

      let killed = 0
      for (let life = 1; killed < kills; life++) {
        const site = lab.site(handedOver)
        const moments: string[] = []
        for (let process = 1; ; process++) {
          const child = lab.start(site)
          if (killed < kills && process <= killsOfLifeMax) {
            const before = await headWrites(site)
            const write = before + 1 + Math.floor(random() * Math.max(1, writes - before))
            const afterMs = random() * commitWaitMsMax
            moments.push(`${Math.round(afterMs)} ms after write ${write} of HEAD`)
            await until(child, async () => (await headWrites(site)) >= write)
            await Promise.race([pause(afterMs), child.ended])
            child.kill('SIGKILL')
          }
          const { code, stderr } = await child.ended
          if (code === 0) break
          expect(code, `${label}, life ${life}, killed ${moments.join(', ')}: ${stderr}`).toBe(137)
          killed++
        }
        const where = `${label}, life ${life}, killed ${moments.join(', ')}`
        const found = await taken(site)
        expect([...new Set(found)], where).toEqual(straight)
        for (const [index, line] of found.entries()) {
          const before = index === 0 ? -1 : straight.indexOf(found[index - 1] as string)
          expect(straight.indexOf(line), `${where}: line ${index + 1}`).toBeLessThanOrEqual(before + 1)
        }
        const { released, manifest } = await lab.lab.head({ checkpoint: site.checkpoint, output: '' })
        expect({ released, unpublished: manifest.unpublished }, where).toEqual({ released: true, unpublished: [] })
      }
    },
    120_000 + kills * 20_000,
  )

  test('is no death of an object that is read meanwhile: none more is quarantined, however often rows kill the process (P13)', async () => {
    const straightSite = lab.site(handedOver)
    const straight = JSON.parse((await expectDone(lab.start(straightSite), 'straight')).stdout)

    const site = lab.site(handedOver)
    const [folder] = site.outputs as [string]
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'deadly'), '')
    for (let start = 1; start <= 9; start++) {
      const { code, stderr } = await lab.start(site).ended
      expect(code, `start ${start}: ${stderr}`).toBe(137)
    }
    await rm(join(folder, 'deadly'))
    const { stdout } = await expectDone(lab.start(site), 'repaired')
    const { objects, quarantined, rows } = JSON.parse(stdout)
    // One of the months is no Parquet.
    expect({ objects, quarantined, rows }).toEqual({ objects: straight.objects, quarantined: 1, rows: straight.rows })
    expect(await taken(site)).toEqual(await taken(straightSite))
  }, 240_000)
})
