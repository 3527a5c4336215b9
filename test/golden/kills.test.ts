import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawn, wholeFromEnvironment } from './drawn.ts'
import { expectDone, type GoldenLab, goldens, headWrites, openGoldenLab, pause, until } from './golden.ts'
import { expectSame } from './seen.ts'

/** Over all pipelines; MILLRACE_KILLS=1000 searches longer. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 17)
/** Kills of one life, after which it is left to end. */
const killsOfLifeMax = 4
/** From a write of HEAD to the kill: about an epoch. */
const commitWaitMsMax = 60

describe.each(goldens.map((golden, i) => ({ golden, kills: Math.ceil((kills - i) / goldens.length) })))(
  'the golden pipeline $golden.name, killed $kills times',
  ({ golden, kills }) => {
    let lab: GoldenLab
    beforeAll(async () => {
      lab = await openGoldenLab()
    })
    afterAll(() => lab[Symbol.asyncDispose]())

    test(
      'ends with the bytes of a run that nobody killed, each file once and nothing left over (P6, P8, P10, I5, I6, I10)',
      async () => {
        const { random, label } = drawn()
        const site = lab.site(golden)
        const startedMs = performance.now()
        await expectDone(lab.start(site), 'straight')
        const straightMs = performance.now() - startedMs
        const straight = await lab.seen(site)
        const writes = await headWrites(site)

        let killed = 0
        for (let life = 1; killed < kills; life++) {
          const site = lab.site(golden)
          const moments: string[] = []
          for (let process = 1; ; process++) {
            const child = lab.start(site)
            if (killed < kills && process <= killsOfLifeMax) {
              if (process % 2 === 1) {
                // Anywhere between the start and the end.
                const afterMs = random() * straightMs
                moments.push(`${Math.round(afterMs)} ms after the start`)
                await Promise.race([pause(afterMs), child.ended])
              } else {
                // Near a commit, which is where most can go wrong.
                const before = await headWrites(site)
                const write = before + 1 + Math.floor(random() * Math.max(1, writes - before))
                const afterMs = random() * commitWaitMsMax
                moments.push(`${Math.round(afterMs)} ms after write ${write} of HEAD`)
                await until(child, async () => (await headWrites(site)) >= write)
                await Promise.race([pause(afterMs), child.ended])
              }
              child.kill('SIGKILL')
            }
            const { code, stderr } = await child.ended
            if (code === 0) break
            expect(code, `${label}, life ${life}, killed ${moments.join(', ')}: ${stderr}`).toBe(137)
            killed++
          }
          expectSame(await lab.seen(site), straight, `${label}, life ${life}, killed ${moments.join(', ')}`)
        }
      },
      120_000 + kills * 20_000,
    )
  },
)
