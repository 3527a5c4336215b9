import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { renderRetried, retryCommand } from '../../src/cli/commands/retry.ts'
import { main } from '../../src/cli/main.ts'
import { readArguments } from '../../src/cli/options.ts'
import { type Lab, openLab, run, windowed } from '../engine/harness.ts'
import { recordingTerminal } from './recorder.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

async function retry(...args: readonly string[]) {
  const terminal = recordingTerminal()
  const code = await main(['retry', ...args], terminal)
  return { code, stdout: terminal.stdout, stderr: terminal.stderr }
}

test('its arguments: an object each time that --object is given, commas and all', () => {
  const read = (...args: readonly string[]) => readArguments('retry', retryCommand.options, args)
  expect(read('ck')).toEqual({ checkpoint: 'ck' })
  const named = read('ck', '--object', 'a,b.parquet', '--takeover', '--object=--odd', '--json')
  expect(named).toEqual({ checkpoint: 'ck', object: ['a,b.parquet', '--odd'], takeover: true, json: true })
  expect(() => read('ck', '--object')).toThrow(/--object: the value is missing; expected --object KEY/)
  expect(() => read('ck', '--object', 'a', '--object', ' ')).toThrow(/--object: ' ' is not valid/)
  expect(() => read('ck', '--takeover', '--takeover')).toThrow(/given twice/)
})

describe('on a checkpoint', () => {
  test('it says how many objects are read again and which; exit code 0, and 2 for what is not set aside', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2024-05-01' AS t`)
    await lab.lines('b.parquet', ['no Parquet'])
    await lab.lines('c.parquet', ['none either'])
    await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP' }, delay: '1 hour' }))

    const unknown = await retry(lab.checkpoint, '--object', 'b.parquet', '--object', 'd.parquet')
    expect(unknown).toMatchObject({ code: 2, stdout: '' })
    expect(unknown.stderr).toMatch(/object 'd.parquet' is not set aside: the ledger does not hold it; did you mean/)
    const counted = await retry(lab.checkpoint, '--object', 'a.parquet')
    expect(counted.code).toBe(2)
    expect(counted.stderr).toContain('its rows were counted in epoch 1')
    expect((await retry(join(lab.root, 'nowhere'))).code).toBe(2)

    const one = await retry(lab.checkpoint, '--object', 'c.parquet', '--json')
    expect(one).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(one.stdout)).toMatchObject({
      pipeline: 'tested',
      count: 1,
      objects: [
        { key: 'c.parquet', outcome: 'quarantined', seq: 3, reason: expect.stringMatching(/Parquet|magic/i) as string },
      ],
    })
    const all = await retry(lab.checkpoint)
    expect(all.stdout.split('\n').map(text => text.replace(/quarantined, .*/, 'quarantined, ...'))).toEqual([
      'tested: 2 objects are read again by the next run or backfill, before anything new.',
      '',
      '  b.parquet: quarantined, ...',
      '  c.parquet: quarantined, ...',
      '',
    ])
    const terminal = recordingTerminal()
    await main(['inspect', lab.checkpoint], terminal)
    expect(terminal.stdout).toMatch(/to read again +2 objects, by the next run/)
  })

  test('it says where nothing is set aside', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2024-05-01' AS t`)
    await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP' }, delay: '1 hour' }))
    const none = await retry(lab.checkpoint)
    expect(none.code).toBe(0)
    expect(none.stdout).toMatch(/^tested: nothing to read again, no object of \S+ is set aside\.\n$/)
  })
})

test('of many objects the first are named', () => {
  const objects = Array.from({ length: 30 }, (_, seq) => ({
    key: `${seq}`,
    outcome: 'gone' as const,
    reason: 'r',
    seq,
  }))
  const lines = renderRetried({ checkpoint: 'ck', pipeline: 'p', count: 2_000, objects }).split('\n')
  expect(lines.slice(2, 4)).toEqual(['  0: gone, r', '  1: gone, r'])
  expect(lines.at(-2)).toBe('  and 1,980 more: --json lists the first thousand')
})
