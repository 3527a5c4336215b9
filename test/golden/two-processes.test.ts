import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawn, wholeFromEnvironment } from './drawn.ts'
import { type Ended, expectDone, type Golden, type GoldenLab, goldens, openGoldenLab, pause } from './golden.ts'
import { expectSame, type Seen } from './seen.ts'

/** Meetings of two processes; MILLRACE_MEETINGS=500 searches longer. */
const meetings = wholeFromEnvironment('MILLRACE_MEETINGS', 8)

const golden = (name: string): Golden => goldens.find(candidate => candidate.name === name) as Golden

describe('several processes on one checkpoint and output', () => {
  let lab: GoldenLab
  beforeAll(async () => {
    lab = await openGoldenLab()
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  async function straightOf(name: string): Promise<{ readonly seen: Seen; readonly ms: number }> {
    const site = lab.site(golden(name))
    const startedMs = performance.now()
    await expectDone(lab.start(site), 'straight')
    const ms = performance.now() - startedMs
    return { seen: await lab.seen(site), ms }
  }

  /** A fenced process names one of the others, and says that it stops. */
  function expectFenced(ended: Ended, others: readonly Ended[], where: string): void {
    const by = /claimed the checkpoint: [^/]+\/(\d+)\//.exec(ended.stderr)?.[1]
    expect(
      others.map(({ pid }) => `${pid}`),
      `${where}: ${ended.stderr}`,
    ).toContain(by)
    // The summary is asked for as JSON, and a process that stops prints its error there instead.
    expect(JSON.parse(ended.stdout), where).toMatchObject({ error: { code: 'fenced' } })
  }

  test.each(['two-flows', 'sensors'])(
    '%s: the older one stops with exit 3 and names the other, the newer one ends the work (P5, P6, I3, I5, I6)',
    async name => {
      const { random, label } = drawn()
      const straight = await straightOf(name)
      let fenced = 0
      for (let meeting = 0; meeting < meetings / 2; meeting++) {
        const site = lab.site(golden(name))
        // In the first half, so that the first one is still at work when the second has started.
        const offsetMs = (random() * straight.ms) / 2
        const where = `${label}, the second one ${Math.round(offsetMs)} ms after the first`
        const first = lab.start(site)
        await pause(offsetMs)
        const second = lab.start(site, { takeover: true })
        const both = await Promise.all([first.ended, second.ended])
        const winners = both.filter(({ code }) => code === 0)
        const losers = both.filter(({ code }) => code !== 0)
        expect(winners.length, `${where}: ${both.map(({ stderr }) => stderr).join('\n')}`).toBeGreaterThan(0)
        for (const loser of losers) {
          fenced++
          expect(loser.code, `${where}: ${loser.stderr}`).toBe(3)
          expectFenced(loser, winners, where)
        }
        // What the fenced one staged after the other's claim goes at the next claim (P12).
        await expectDone(lab.start(site), where)
        expectSame(await lab.seen(site), straight.seen, where)
      }
      expect(fenced, `${label}: processes that met`).toBeGreaterThan(0)
    },
    60_000 + meetings * 20_000,
  )

  test('of four that start at once one ends the work, and the others end with 0 or 3 (P5, I3, I10)', async () => {
    const straight = await straightOf('tumbling-zones')
    for (let round = 0; round < Math.ceil(meetings / 6); round++) {
      const site = lab.site(golden('tumbling-zones'))
      const all = await Promise.all(Array.from({ length: 4 }, () => lab.start(site, { takeover: true }).ended))
      const said = all.map(({ code, stderr }) => `${code}: ${stderr}`).join('\n')
      expect(all.filter(({ code }) => code === 0).length, said).toBeGreaterThan(0)
      for (const ended of all) {
        expect([0, 3], said).toContain(ended.code)
        if (ended.code === 3)
          expectFenced(
            ended,
            all.filter(other => other !== ended),
            said,
          )
      }
      await expectDone(lab.start(site), said)
      expectSame(await lab.seen(site), straight.seen, said)
    }
  }, 180_000)

  test('without --takeover the second one waits until the first has ended, and finds nothing to do (P5)', async () => {
    const straight = await straightOf('two-flows')
    const site = lab.site(golden('two-flows'))
    const first = lab.start(site)
    await firstClaimed(site.checkpoint)
    // It stands still while the other one starts, so that there is something to wait for.
    first.kill('SIGSTOP')
    const second = lab.start(site)
    while (!second.isEnded() && !second.stderr().includes('waiting for')) await pause(20)
    first.kill('SIGCONT')
    const [a, b] = await Promise.all([first.ended, second.ended])
    expect(a.code, a.stderr).toBe(0)
    expect(b.code, b.stderr).toBe(0)
    expect(b.stderr).toMatch(new RegExp(`waiting for .*/${a.pid}/`))
    expect(JSON.parse(b.stdout)).toMatchObject({ nothingToDo: true })
    expectSame(await lab.seen(site), straight.seen, 'after both')
  })
})

/** Resolves when the checkpoint's folder shows a HEAD: its owner is alive then, and has months before it. */
async function firstClaimed(checkpoint: string): Promise<void> {
  for (;;) {
    const heads = await readdir(join(checkpoint, 'head')).catch(() => [])
    if (heads.length > 0) return
    await pause(5)
  }
}
