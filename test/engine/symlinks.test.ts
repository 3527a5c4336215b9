import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { components } from '../../src/engine/components.ts'
import { verify } from '../../src/engine/verify.ts'
import { aggregate, count, files, groupBy, json, pipeline, source, to, tumbling } from '../../src/index.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { followUntil, type Lab, openLab, type Place, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  const outside = join(lab.root, 'elsewhere')
  await mkdir(outside)
  for (const name of ['x.jsonl', 'y.jsonl', 'notes.txt']) await writeFile(join(outside, name), line)
  await lab.lines('a.jsonl', [line])
  await symlink(join(lab.input, 'a.jsonl'), join(lab.input, 'b.jsonl'))
  await symlink(join(outside, 'x.jsonl'), join(lab.input, 'out.jsonl'))
  await symlink(join(outside, 'notes.txt'), join(lab.input, 'out.txt'))
  await symlink(outside, join(lab.input, 'folder'))
})
afterEach(() => lab[Symbol.asyncDispose]())

const line = '{"t":"2024-01-01"}'
const counted = (at: Place, symlinks?: 'inside' | 'follow', objects = lab.input) =>
  pipeline(
    'counted',
    { checkpoint: at.checkpoint },
    source('in', {
      objects,
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL' },
      time: 't',
      watermark: { delay: '1 hour' },
      miniBatch: { every: '10ms' },
      reconcile: '20ms',
      ...(symlinks ? { symlinks } : {}),
    }).pipe(tumbling('1 hour'), groupBy(), aggregate({ n: count() }), to(files(at.output, { format: 'json' }))),
  )
const keys = async (at: Place = lab) =>
  (await lab.channel('ledger', at)).flatMap(row => (row.is === 'object' ? [row.key] : []))
const ignoredBy = {
  symlink: { count: 2, first: 'folder/' },
  suffix: { count: 1, first: 'out.txt' },
}

describe('a symbolic link that leads out of the directory', () => {
  test('is not read, nor is one to a folder; both are counted, and one to a file inside is read', async () => {
    const summary = await run(counted(lab))
    expect(await keys()).toEqual(['a.jsonl', 'b.jsonl'])
    expect(summary.run).toMatchObject({ objects: 2, ignored: 3, ignoredBy })
  })

  test('is left out like any other where it leads to itself', async () => {
    await symlink('loop.jsonl', join(lab.input, 'loop.jsonl'))
    const summary = await run(counted(lab))
    expect(await keys()).toEqual(['a.jsonl', 'b.jsonl'])
    expect(summary.run.objects).toBe(2)
  })

  test('is told of by a run that follows and by doctor', async () => {
    const events = await followUntil(counted(lab), 'epoch')
    expect(events).toContainEqual({ is: 'ignored', by: 'listing', ignored: ignoredBy })
    const found = await examine(components, counted(lab), {})
    expect(found.find(({ check }) => check === 'input')?.message).toBe(
      "2 objects there, none of them new; ignored: 2 behind symbolic links, the first 'folder/'; 1 with another ending, 'out.txt'",
    )
    const none = await examine(components, counted(lab, 'inside', `${lab.input}/out.*`), {})
    expect(none.find(({ check }) => check === 'input')).toMatchObject({
      is: 'problem',
      message: expect.stringContaining("symlinks: 'follow' reads what symbolic links lead to"),
    })
  })

  test("is read with symlinks: 'follow', folders too; a checkpoint that has read it replays so alone", async () => {
    await run(counted(lab, 'follow'))
    const all = ['a.jsonl', 'b.jsonl', 'folder/x.jsonl', 'folder/y.jsonl', 'out.jsonl']
    expect(await keys()).toEqual(all)
    expect(await lab.rows()).toMatchObject([{ n: '5' }])
    const checked = (symlinks: 'inside' | 'follow') => verify(counted(lab, symlinks), { threads: 2, memory: '500MB' })
    expect(await checked('follow')).toMatchObject({ gone: [], changed: [], differences: [] })
    expect(await checked('inside')).toMatchObject({ gone: all.slice(2) })
    // What was counted stays counted.
    await lab.lines('c.jsonl', [line])
    await run(counted(lab))
    expect(await keys()).toEqual([...all, 'c.jsonl'])
  })

  test('is read where it is the one file that is named, and not for a wildcard', async () => {
    await run(counted(lab, 'inside', join(lab.input, 'out.jsonl')))
    expect(await keys()).toEqual(['out.jsonl'])
    const at = lab.place('glob')
    const summary = await run(counted(at, 'inside', `${lab.input}/o*.jsonl`))
    expect(summary.run).toMatchObject({ objects: 0, ignoredBy: { symlink: { count: 1, first: 'out.jsonl' } } })
  })

  test('is no matter of the directory itself, which may be a link', async () => {
    const link = join(lab.root, 'link')
    await symlink(lab.input, link)
    await run(counted(lab, 'inside', link))
    expect(await keys()).toEqual(['a.jsonl', 'b.jsonl'])
  })
})
