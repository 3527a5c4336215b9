import { mkdir, readdir, readFile, rename, symlink, utimes, writeFile } from 'node:fs/promises'
import { waitsHere, waitsThere } from '../checkpoints/fixtures.ts'
import { join } from 'node:path'
import { tap } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { outEpoch } from '../../src/engine/publish/afterwards.ts'
import { count, MillraceError, pipeline, query, rows, sum, verify } from '../../src/index.ts'
import {
  failure,
  followUntil,
  type Lab,
  openLab,
  run,
  sourceOf,
  type TextRow,
  windowed,
  type WindowedFlow,
} from './harness.ts'

let lab: Lab
let done: string
beforeEach(async () => {
  lab = await openLab()
  done = join(lab.root, 'done')
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow = (more: Partial<WindowedFlow> = {}): WindowedFlow => ({
  columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'DOUBLE' },
  keys: ['k'],
  delay: '1 hour',
  aggregates: { n: count(), total: sum('v') },
  ...more,
})
const moving = () => flow({ after: { moveTo: done } })

const day = (date: string, key = `${date}.parquet`) =>
  lab.parquet(
    key,
    `SELECT TIMESTAMP '${date}' + i * INTERVAL 7 MINUTE AS t, 'k' || i % 3 AS k, i * 0.1 AS v FROM range(-30, 100) AS r(i)`,
  )

async function files(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return found
    .filter(entry => entry.isFile() || entry.isSymbolicLink())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()
}
const recorded = async (of: readonly string[] = ['moved', 'cleared', 'deleted', 'left', 'tagged']) =>
  (await lab.channel('after')).filter(({ is }: TextRow) => of.includes(String(is)))

/** Runs a backfill, and gives what it told of `after`. */
async function told(of: WindowedFlow, options = {}): Promise<RunEvent[]> {
  const events: RunEvent[] = []
  await run(windowed(lab, lab, of), { objectsPerEpoch: 1, onEvent: event => events.push(event), ...options })
  return events.filter(({ is }) => is === 'afterwards' || is === 'after-failed')
}

describe('after: { moveTo }', () => {
  test('objects move under their keys when they are committed; verify and a replay read them where they are (S1)', async () => {
    await day('2022-01-01')
    await day('2022-01-02', 'deep/er/2022-01-02.parquet')
    await run(windowed(lab, lab, moving()), { objectsPerEpoch: 1 })
    expect(await files(lab.input)).toEqual([])
    expect(await files(done)).toEqual(['2022-01-01.parquet', 'deep/er/2022-01-02.parquet'])

    const shown = await query(lab.checkpoint, `SELECT key, new_key FROM afterwards WHERE "is" = 'moved' ORDER BY seq`)
    expect(shown.rows).toEqual([
      { key: '2022-01-01.parquet', new_key: '2022-01-01.parquet' },
      { key: 'deep/er/2022-01-02.parquet', new_key: 'deep/er/2022-01-02.parquet' },
    ])
    const found = await verify(windowed(lab, lab, moving()), { threads: 2, memory: '500MB' })
    expect(found).toMatchObject({ gone: [], changed: [], differences: [] })
    expect(found.rows).toBeGreaterThan(10)
    const copy = lab.place('copy')
    await run(windowed(lab, copy, flow()), { ledger: lab.checkpoint, objectsPerEpoch: 2 })
    expect(await lab.rows(copy)).toEqual(await lab.rows())
    // What is replayed stays where it is, whatever the source says.
    const third = lab.place('third')
    await run(windowed(lab, third, moving()), { ledger: lab.checkpoint })
    expect(await files(done)).toHaveLength(2)

    await day('2022-01-03')
    const next = await run(windowed(lab, lab, moving()))
    expect(next.totals.objects).toBe(3)
    expect(await files(lab.input)).toEqual([])
  })

  test('an object that was set aside stays, and one of which rows were set aside was counted', async () => {
    await day('2022-01-01')
    await lab.lines('2022-01-02.parquet', ['no Parquet'])
    await lab.parquet('2022-01-03.parquet', `SELECT NULL::TIMESTAMP AS t, 'k' AS k, 1.0::DOUBLE AS v`)
    const of = { onBadRow: 'quarantine' as const }
    await run(windowed(lab, lab, { ...moving(), ...of }))
    expect(await files(lab.input)).toEqual(['2022-01-02.parquet'])
    expect(await files(done)).toEqual(['2022-01-01.parquet', '2022-01-03.parquet'])
  })

  test('what went to its new place and is not on record, as with a HEAD that was lost, is recorded and replayed', async () => {
    await day('2022-01-01')
    await day('2022-01-02')
    await day('2022-01-03')
    await run(windowed(lab, lab, flow()))
    await mkdir(done)
    await rename(join(lab.input, '2022-01-01.parquet'), join(done, '2022-01-01.parquet'))
    // Under the name that it gets beside another object, and its old one has a newer version by now.
    await rename(join(lab.input, '2022-01-02.parquet'), join(done, '2022-01-02.2.parquet'))
    await writeFile(join(done, '2022-01-02.parquet'), 'somebody else')
    await writeFile(join(lab.input, '2022-01-02.parquet'), 'newer')
    // Neither is this one there, nor an object that is it.
    await writeFile(join(done, '2022-01-03.parquet'), await readFile(join(lab.input, '2022-01-03.parquet')))
    await rename(join(lab.input, '2022-01-03.parquet'), join(lab.root, 'away'))
    await told({ ...moving(), onBadObject: 'quarantine' })
    expect((await recorded(['moved', 'left'])).map(({ seq, is, key }) => [Number(seq), is, key])).toEqual([
      [1, 'moved', '2022-01-01.parquet'],
      [2, 'moved', '2022-01-02.2.parquet'],
      [3, 'left', null],
    ])
    expect(await readFile(join(lab.input, '2022-01-02.parquet'), 'utf8')).toBe('newer')
    expect(await verify(windowed(lab, lab, moving()), { threads: 2, memory: '500MB' })).toMatchObject({
      gone: ['2022-01-03.parquet'],
      changed: [],
    })
  })

  test('another object that has the name is never overwritten, and equal bytes are the object itself', async () => {
    const [first, second] = [await day('2022-01-01'), await day('2022-01-02')]
    await mkdir(done)
    await writeFile(join(done, '2022-01-01.parquet'), 'somebody else')
    // As a process leaves it that copied the file to another file system, and was killed before it could say so.
    await writeFile(join(done, '2022-01-02.parquet'), await readFile(second))
    const bytes = await readFile(first)
    await run(windowed(lab, lab, moving()))
    expect(await files(lab.input)).toEqual([])
    expect(await files(done)).toEqual(['2022-01-01.1.parquet', '2022-01-01.parquet', '2022-01-02.parquet'])
    expect(await readFile(join(done, '2022-01-01.parquet'), 'utf8')).toBe('somebody else')
    expect(Buffer.compare(await readFile(join(done, '2022-01-01.1.parquet')), bytes)).toBe(0)
    const found = await verify(windowed(lab, lab, moving()), { threads: 2, memory: '500MB' })
    expect(found).toMatchObject({ gone: [], changed: [], differences: [] })
  })

  test('a key that was overwritten since is left alone, and it is said so', async () => {
    const file = await day('2022-01-01')
    await run(windowed(lab, lab, flow()))
    await day('2022-01-05', '2022-01-01.parquet')
    const newer = await readFile(file)
    const events = await told(moving())
    expect(events).toMatchObject([
      { objects: 0, left: [{ key: '2022-01-01.parquet', reason: 'another version lies there, which is left alone' }] },
    ])
    expect(Buffer.compare(await readFile(file), newer)).toBe(0)
    expect(await files(done)).toEqual([])
    // Once: it is on record.
    expect(await told(moving())).toEqual([])
  })

  test('a symbolic link is left alone', async () => {
    await day('2022-01-01')
    await symlink('2022-01-01.parquet', join(lab.input, 'linked.parquet'))
    await told({ ...moving(), overwrite: 'append' })
    expect(await files(lab.input)).toEqual(['linked.parquet'])
    expect(await recorded(['left'])).toMatchObject([{ note: expect.stringContaining('symbolic link') }])
  })

  test.each([
    ['the place itself', () => lab.input],
    ['a folder in it', () => join(lab.input, 'done')],
    ['one that is not there yet, by way of another', () => join(lab.root, 'none', '..', 'in', 'done')],
    ['a symbolic link into it', () => join(lab.root, 'link', 'done')],
    ['a folder above it', () => lab.root],
    ['the output', () => join(lab.output, 'done')],
    ['the checkpoint', () => lab.checkpoint],
  ])('%s is refused before anything is read', async (_name, place) => {
    await day('2022-01-01')
    await symlink(lab.input, join(lab.root, 'link'))
    const to = place()
    const error = await failure(run(windowed(lab, lab, flow({ after: { moveTo: to } }))))
    expect(error.kind).toBe('user')
    expect(error.message).toContain('source in: after.moveTo')
    expect(error.message).toContain('a place that lies neither in nor above')
    expect(await files(lab.input)).toEqual(['2022-01-01.parquet'])
    expect(await files(lab.checkpoint)).toEqual([])
  })

  test.each([
    ['a file', 'file'],
    ['a name below a file', 'file/done'],
    ['a symbolic link that leads nowhere', 'nowhere'],
  ])('%s is no place to move to, and the field is named', async (_name, name) => {
    await day('2022-01-01')
    await writeFile(join(lab.root, 'file'), '')
    await symlink(join(lab.root, 'none', 'at', 'all'), join(lab.root, 'nowhere'))
    const error = await failure(run(windowed(lab, lab, flow({ after: { moveTo: join(lab.root, name) } }))))
    expect(error).toMatchObject({ kind: 'user', code: 'configuration' })
    expect(error.message).toContain('source in: after.moveTo')
    expect(error.message).toContain('expected a directory')
    expect(await files(lab.input)).toEqual(['2022-01-01.parquet'])
  })

  test('a place whose name only begins as that of the source is another one', async () => {
    await day('2022-01-01')
    await run(windowed(lab, lab, flow({ after: { moveTo: `${lab.input}-done` } })))
    expect(await files(`${lab.input}-done`)).toEqual(['2022-01-01.parquet'])
  })

  test('a run that follows its source moves too, takes what moved for nothing new, and goes on when objects are gone', async () => {
    await day('2022-01-01')
    const vanishing = await day('2022-01-02')
    await run(windowed(lab, lab, flow()))
    await rename(vanishing, join(lab.root, 'vanished'))
    const events = await followUntil(windowed(lab, lab, moving()), 'afterwards')
    expect(events.filter(({ is }) => is === 'afterwards')[0]).toMatchObject({ deed: 'move', objects: 1, left: [{}] })
    expect(await files(done)).toEqual(['2022-01-01.parquet'])
    expect(await files(lab.input)).toEqual([])
    await day('2022-01-03')
    const last = await run(windowed(lab, lab, moving()))
    expect(last.totals).toMatchObject({ objects: 3, gone: 0, quarantined: 0 })
  })
})

describe("after: 'delete'", () => {
  const deleting = flow({ after: 'delete' })

  test('deletes what is committed, and a replay names the object and why it cannot be', async () => {
    await day('2022-01-01')
    await run(windowed(lab, lab, deleting))
    expect(await files(lab.input)).toEqual([])
    expect(await recorded()).toMatchObject([{ seq: '1', is: 'deleted', note: null }])
    const error = await failure(run(windowed(lab, lab.place('copy'), flow()), { ledger: lab.checkpoint }))
    expect(error.code).toBe('replay-deleted')
    expect(error.message).toContain('/in/2022-01-01.parquet was deleted after its rows were committed')
    const found = await verify(windowed(lab, lab, deleting), { threads: 2, memory: '500MB' })
    expect(found).toMatchObject({ gone: ['2022-01-01.parquet'], deleted: ['2022-01-01.parquet'] })
  })

  test('leaves an object of which rows were set aside, which would be lost with it', async () => {
    await lab.parquet('2022-01-03.parquet', `SELECT NULL::TIMESTAMP AS t, 'k' AS k, 1.0::DOUBLE AS v`)
    await run(windowed(lab, lab, { ...deleting, onBadRow: 'quarantine' }))
    expect(await files(lab.input)).toEqual(['2022-01-03.parquet'])
  })

  test('a file that is overwritten with the same size, and another time, is another version', async () => {
    const file = await day('2022-01-01')
    await run(windowed(lab, lab, flow()))
    await utimes(file, 1, 1)
    await run(windowed(lab, lab, deleting))
    expect(await files(lab.input)).toEqual(['2022-01-01.parquet'])
  })
})

describe('an epoch that some sink does not have yet', () => {
  test('holds back its own objects and those of later epochs, whatever is published of others', () => {
    const file = { name: 'f', bytes: 1, rows: 1, sha256: '' }
    const published = (...epochs: number[]) => epochs.map(epoch => waitsThere('flow-1', epoch, file))
    const taken = (...epochs: number[]) => epochs.map(epoch => waitsHere('flow-2', epoch, file))
    expect(outEpoch({ channels: {}, epoch: 9, unpublished: [] })).toBe(9)
    expect(outEpoch({ channels: {}, epoch: 9, unpublished: published(9) })).toBe(8)
    expect(outEpoch({ channels: {}, epoch: 9, unpublished: [...published(9), ...taken(4, 5)] })).toBe(3)
    expect(outEpoch({ channels: {}, epoch: 1, unpublished: [...published(1), ...taken(1)] })).toBe(0)
  })

  test('rows that are not taken keep their objects, over restarts, until they are', async () => {
    for (const date of ['2022-01-01', '2022-01-02', '2022-01-03']) await day(date)
    const taking = (isGood: boolean) => {
      const head = sourceOf(lab, flow({ after: 'delete' }))
      const all = head.pipe(
        rows(),
        tap(() => {
          if (!isGood) throw new Error('not now')
        }),
      )
      return run(pipeline('rows', { checkpoint: lab.checkpoint }, all), { objectsPerEpoch: 1, flush: false })
    }
    for (let start = 0; start < 2; start++) {
      expect((await failure(taking(false))).code).toBe('rows-not-taken')
      expect(await files(lab.input)).toHaveLength(3)
    }
    await taking(true)
    expect(await files(lab.input)).toEqual([])
  })
})

describe('afterDelay', () => {
  test('counts from the commit, over restarts', async () => {
    await day('2022-01-01')
    const at = (startedAtMs: number) => {
      const clock = { ...components.clock, startedAtMs, nowMs: () => 0 }
      const of = windowed(lab, lab, flow({ after: 'delete', afterDelay: '1 hour' }))
      return backfillWith({ ...components, clock }, of, { threads: 2, memory: '500MB' })
    }
    const start = 1_700_000_000_000
    await at(start)
    await at(start + 3_599_000)
    expect(await files(lab.input)).toEqual(['2022-01-01.parquet'])
    await at(start + 3_600_000)
    expect(await files(lab.input)).toEqual([])
  })
})

describe('trouble', () => {
  test('what may not be deleted is told once and tried again, and counting goes on', async () => {
    for (const date of ['2022-01-01', '2022-01-02', '2022-01-03']) await day(date)
    const denied: typeof components = {
      ...components,
      async openInput(...args) {
        const store = await components.openInput(...args)
        const remove = () => Promise.reject(new MillraceError('user', 'access-denied', 'Allow s3:DeleteObject.'))
        return { ...store, remove }
      },
    }
    const events: RunEvent[] = []
    const options = {
      threads: 2,
      memory: '500MB',
      objectsPerEpoch: 1,
      onEvent: (event: RunEvent) => events.push(event),
    }
    const summary = await backfillWith(denied, windowed(lab, lab, flow({ after: 'delete' })), options)
    expect(summary.totals.objects).toBe(3)
    const failures = events.filter(({ is }) => is === 'after-failed')
    expect(failures).toMatchObject([{ deed: 'delete', code: 'access-denied', error: 'Allow s3:DeleteObject.' }])
    expect(events.filter(({ is }) => is === 'afterwards').at(-1)).toMatchObject({ objects: 0, failed: 3 })
    expect(await files(lab.input)).toHaveLength(3)
    await run(windowed(lab, lab, flow({ after: 'delete' })))
    expect(await files(lab.input)).toEqual([])
  })

  test('a directory has no tags', async () => {
    await day('2022-01-01')
    const error = await failure(run(windowed(lab, lab, flow({ after: 'tag' }))))
    expect(error.message).toContain("source in: after: 'tag'")
    expect(error.message).toContain('have none')
  })

  test('a delay without anything to be delayed is a mistake, and so is a word that is none', async () => {
    expect((await failure(() => windowed(lab, lab, flow({ afterDelay: '1 hour' })))).message).toContain('afterDelay')
    const typo = await failure(() => windowed(lab, lab, flow({ after: { moveto: done } as never })))
    expect(typo.message).toContain('moveTo')
  })
})
