import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { renderSummary, summaryJson } from '../../src/cli/summary.ts'
import { components } from '../../src/engine/components.ts'
import { files, pipeline, select, to } from '../../src/index.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { failure, followUntil, type Lab, openLab, run, sourceOf, windowed, type WindowedFlow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow: WindowedFlow = { columns: { t: 'TIMESTAMP' }, format: 'json', delay: '1 day', bounds: 'm_{yyyy}-{MM}' }
const write = async (...keys: readonly string[]) => {
  for (const key of keys) await lab.lines(key, ['{"t":"2022-01-15"}', '{"t":"2022-01-16"}'])
}

describe('a pattern of watermark.bounds is tried against the names that are there', () => {
  test('a backfill that would begin with none that fits is refused, and begins when the pattern is right', async () => {
    await write('n_2022-01.jsonl', 'n_2022-02.jsonl')
    const refused = await failure(run(windowed(lab, lab, flow)))
    expect(refused).toMatchObject({
      kind: 'user',
      message:
        "source in: watermark.bounds: 'm_{yyyy}-{MM}' is not valid; expected a pattern that names of objects have; none of 2 objects " +
        "has it, such as 'n_2022-01.jsonl', so no row would move the watermark and no window close (only --final would close them).",
    })
    expect(await lab.head()).toMatchObject({ released: true, manifest: { epoch: 0 } })
    const summary = await run(windowed(lab, lab, { ...flow, bounds: 'n_{yyyy}-{MM}' }))
    expect(summary.run).toMatchObject({ objects: 2, withoutPeriod: [], outsideBounds: 2 })
    expect(await lab.rows()).toMatchObject([{ n: '2' }, { n: '2' }])
  })

  test('--from and --to that would leave all out for the pattern are refused in its name', async () => {
    await write('n_2022-01.jsonl')
    expect((await failure(run(windowed(lab, lab, flow), { from: '2022-01', final: true }))).message).toMatch(
      /none of 1 object has it, such as 'n_2022-01.jsonl', so none lies between --from and --to\.$/,
    )
  })

  test('where it fits some, the run counts all, and warns with the number and a name', async () => {
    await write('m_2022-01.jsonl', 'n_2022-01.jsonl', 'x_2022-01.jsonl')
    const summary = await run(windowed(lab, lab, flow))
    const withoutPeriod = { source: 'in', pattern: 'm_{yyyy}-{MM}', of: 3, count: 2, first: 'n_2022-01.jsonl' }
    expect(summaryJson(summary)).toMatchObject({
      objects: 3,
      rows: 6,
      outsideBounds: 4,
      withoutPeriod: [withoutPeriod],
    })
    expect(renderSummary(summary)).toContain(
      "Warning: watermark.bounds 'm_{yyyy}-{MM}' of source in does not fit 2 of 3 objects, such as 'n_2022-01.jsonl': their rows " +
        'are counted, but move no watermark.',
    )
    // The listing is looked at again, whatever is new in it.
    expect((await run(windowed(lab, lab, flow))).run).toMatchObject({ objects: 0, withoutPeriod: [withoutPeriod] })
    const { bounds: _, ...unbound } = flow
    expect((await run(windowed(lab, lab.place('b'), unbound))).run.withoutPeriod).toEqual([])
  })

  test('where it fits none and there is something to be had all the same, that is a warning', async () => {
    await write('n_2022-01.jsonl')
    const warned = async (...args: Parameters<typeof run>) => {
      const summary = await run(...args)
      expect(renderSummary(summary)).toContain(
        "Warning: watermark.bounds 'm_{yyyy}-{MM}' of source in fits none of 1 object, such as 'n_2022-01.jsonl': their rows move " +
          'no watermark, so no window closes. Is the pattern right?',
      )
      return summary.totals
    }
    const final = lab.place('final')
    await warned(windowed(lab, final, flow), { final: true })
    expect(await lab.rows(final)).toMatchObject([{ n: '1' }, { n: '1' }])
    const plain = lab.place('plain')
    const passed = sourceOf(lab, flow).pipe(select('t'), to(files(plain.output, { format: 'json' })))
    await warned(pipeline('passed', { checkpoint: plain.checkpoint }, passed))
    expect(await lab.rows(plain)).toHaveLength(2)
  })

  test('a checkpoint that has begun goes on whatever comes', async () => {
    await write('m_2022-01.jsonl')
    await run(windowed(lab, lab, flow))
    await lab.lines('n_2022-02.jsonl', ['{"t":"2022-02-15"}'])
    const other = { ...lab, input: `${lab.input}/n_*` }
    const summary = await run(windowed(other, lab, flow))
    expect(summary.run).toMatchObject({ objects: 1, withoutPeriod: [{ of: 1, count: 1 }] })
  })

  test('rows of which none lies inside the bounds are warned of too', async () => {
    await lab.lines('m_2021-01.jsonl', ['{"t":"2022-01-15"}', '{"t":"2022-01-16"}'])
    const summary = await run(windowed(lab, lab, flow))
    expect(renderSummary(summary)).toContain('Warning: the time of every row lies outside watermark.bounds (2 rows)')
    await lab.lines('m_2022-01.jsonl', ['{"t":"2022-01-15"}', '{"t":"2023-01-16"}'])
    expect(renderSummary(await run(windowed(lab, lab, flow)))).not.toContain('Warning: the time of every row')
  })

  test('a run that follows says so at its start, and goes on', async () => {
    await write('n_2022-01.jsonl', 'n_2022-02.jsonl')
    const events = await followUntil(windowed(lab, lab, flow), 'epoch')
    expect(events.filter(({ is }) => is === 'without-period')).toEqual([
      {
        is: 'without-period',
        withoutPeriod: { source: 'in', pattern: 'm_{yyyy}-{MM}', of: 2, count: 2, first: 'n_2022-01.jsonl' },
      },
    ])
    expect((await lab.head()).manifest.epoch).toBe(1)
  })

  test('doctor: none is a problem, some are a warning', async () => {
    const look = async () =>
      (await examine(components, windowed(lab, lab, flow), {}))
        .filter(({ check }) => check === 'watermark')
        .map(({ is, message }) => `${is}: ${message}`)
        .slice(1)
    expect(await look()).toEqual([])
    await write('n_2022-01.jsonl')
    expect(await look()).toEqual([
      expect.stringMatching(
        /^problem: watermark\.bounds 'm_.*' of source in fits none of 1 object, such as 'n_2022-01/,
      ),
    ])
    await write('m_2022-01.jsonl')
    expect(await look()).toEqual([expect.stringMatching(/^warning: .* does not fit 1 of 2 objects/)])
    const all = windowed({ input: `${lab.input}/m_*` }, lab, flow)
    expect(await examine(components, all, {})).toContainEqual({
      check: 'watermark',
      is: 'ok',
      message: "bounds 'm_{yyyy}-{MM}' fits the names of all 1 object",
    })
  })
})
