import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { summaryJson } from '../../src/cli/summary.ts'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import { createKindOf } from '../../src/engine/intake/key-kind.ts'
import { verify } from '../../src/engine/verify.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  type NotificationSpec,
  json,
  pipeline,
  type Pipeline,
  source,
  sqs,
  to,
  tumbling,
} from '../../src/index.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import { type Lab, openLab, type Place, run } from './harness.ts'
import { toldBy } from './told-by.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** A commit of Spark under way, a table's log, checksums, and a partition column whose name begins with '_'. */
const spark = [
  'part-0.jsonl',
  '_day=1/part-0.jsonl',
  '_temporary/0/task_1/part-0.jsonl',
  '.spark-staging-1/part-0.jsonl',
  '_delta_log/00000000000000000010.json',
  '.hidden.jsonl',
  'a/_b/c.jsonl',
  '_SUCCESS',
  '.part-0.jsonl.crc',
  'part-1.jsonl._COPYING_',
]
const data = ['_day=1/part-0.jsonl', 'part-0.jsonl']
const line = '{"t":"2024-01-01","k":"a"}'
const write = async (...keys: readonly string[]) => {
  for (const key of keys) await lab.lines(key, [line])
}

interface Flow {
  readonly objects?: string
  readonly hidden?: 'ignore' | 'read'
  readonly notifications?: NotificationSpec
}

const counted = (at: Place, { objects = lab.input, ...options }: Flow = {}): Pipeline =>
  pipeline(
    'counted',
    { checkpoint: at.checkpoint },
    source('in', {
      objects,
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
      time: 't',
      watermark: { delay: '1 hour' },
      miniBatch: { every: '10ms' },
      ...(options.notifications ? {} : { reconcile: '20ms' as const }),
      ...options,
    }).pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(at.output, { format: 'json' }))),
  )

const byBytes = (a: string, b: string) => (a < b ? -1 : 1)

/** The ledger's keys. */
const keys = async (at: Place = lab) =>
  (await lab.channel('ledger', at)).flatMap(row => (row.is === 'object' ? [String(row.key)] : [])).toSorted(byBytes)

/** Follows until so many objects are committed and an event of this kind was seen. */
async function follow(
  pipelineOf: Pipeline,
  { objects, is, parts = components }: { objects: number; is: RunEvent['is']; parts?: Components },
): Promise<readonly RunEvent[]> {
  const events: RunEvent[] = []
  const drain = new AbortController()
  let committed = 0
  await followWith(parts, pipelineOf, {
    threads: 2,
    memory: '500MB',
    drain: drain.signal,
    onEvent: event => {
      events.push(event)
      if (event.is === 'epoch') committed += event.result.objects
      if (committed === objects && events.some(seen => seen.is === is)) drain.abort()
    },
  })
  return events
}

describe('a key of which a segment begins with _ or . is no object, as in Spark, Hive, Trino and Athena', () => {
  const kind = (key: string, matches: (key: string) => boolean = () => true, hidden: 'ignore' | 'read' = 'ignore') =>
    createKindOf({ matches }, { extensions: ['.json'] }, { hidden })(key)

  test.each([
    ['a.json', 'object'],
    ['a_b/c.d.json', 'object'],
    ['_a.json', 'hidden'],
    ['.a.json', 'hidden'],
    ['a/_b/c.json', 'hidden'],
    ['a/.b/c.json', 'hidden'],
    ['_x=1/a.json', 'object'],
    ['_x=1/_y=2/_z/a.json', 'hidden'],
    ['.x=1/a.json', 'hidden'],
    ['a.json._COPYING_', 'hidden'],
    ['_SUCCESS', 'hidden'],
    ['SUCCESS', 'suffix'],
    ['a/_millrace/b.json', 'foreign-key'],
  ])('%s: %s', (key, expected) => expect(kind(key)).toBe(expected))

  test.each([
    ['_raw/*.json', '_raw/a.json', 'object'],
    ['_raw/*.json', '_raw/_a.json', 'hidden'],
    ['_raw*/**', '_raw1/_temporary/a.json', 'hidden'],
    ['_raw*/**', '_raw1/b/a.json', 'object'],
    ['*/_a.json', 'b/_a.json', 'object'],
    ['*/_a.json', '_b/_a.json', 'hidden'],
    ['{_a,b}/*.json', '_a/c.json', 'object'],
    ['*.json', '_2024.json', 'hidden'],
    ['*_2024.json', '_2024.json', 'hidden'],
    ['**/*.json', 'a/.b/c.json', 'hidden'],
    ['.*.json', '.a.json', 'object'],
  ])('the glob %s over %s: %s', async (glob, key, expected) => {
    await write(key)
    const { matches, root } = await components.findInput(`${lab.input}/${glob}`, 'input')
    // A key begins where the glob's fixed part ends.
    expect(kind(`${lab.input}/${key}`.slice(root.length + 1), matches)).toBe(expected)
    expect(kind(`${lab.input}/${key}`.slice(root.length + 1), matches, 'read')).toBe('object')
  })

  test.each(['../a.json', 'a/../b.json', './a.json', 'a/./b.json', '..'])(
    '%s is read by no option: a server may take it for another place',
    key => {
      expect(kind(key)).toBe('hidden')
      expect(kind(key, () => true, 'read')).toBe('hidden')
    },
  )

  test('a backfill counts the data alone, and tells what it ignored and why', async () => {
    await write(...spark)
    const summary = await run(counted(lab))
    expect(await keys()).toEqual(data)
    expect(await lab.rows()).toMatchObject([{ n: '2' }])
    expect(summaryJson(summary)).toMatchObject({
      ignored: 8,
      ignoredBy: { hidden: { count: 8, first: '.hidden.jsonl' } },
    })
  })

  test("hidden: 'read' reads them, through a wildcard as well", async () => {
    await write(...spark)
    const objects = spark.filter(key => /jsonl?$/.test(key)).toSorted(byBytes)
    const summary = await run(counted(lab, { hidden: 'read' }))
    expect(await keys()).toEqual(objects)
    expect(summary.run).toMatchObject({ ignored: 3, ignoredBy: { suffix: { count: 3 } } })
    const other = lab.place('glob')
    await run(counted(other, { hidden: 'read', objects: `${lab.input}/**/*.jsonl` }))
    expect(await keys(other)).toEqual(objects.filter(key => key.endsWith('.jsonl')))
  })

  test('a place whose own path has such names, and one object that is named, are read', async () => {
    await write('_raw/a.jsonl', '_raw/_b.jsonl')
    await run(counted(lab, { objects: `${lab.input}/_raw` }))
    expect(await keys()).toEqual(['a.jsonl'])
    const one = lab.place('one')
    await run(counted(one, { objects: `${lab.input}/_raw/_b.jsonl` }))
    expect(await keys(one)).toEqual(['_b.jsonl'])
  })

  test('a run that follows ignores them in what lies there and in what comes, and says so once', async () => {
    await write(...spark)
    const events = await follow(counted(lab), { objects: 2, is: 'ignored' })
    expect(await keys()).toEqual(data)
    expect(events.filter(({ is }) => is === 'ignored')).toEqual([
      { is: 'ignored', by: 'listing', ignored: { hidden: { count: 8, first: '.hidden.jsonl' } } },
    ])
    // Nine are not twice as many as eight.
    await write('_more.jsonl', 'part-2.jsonl')
    const later = await follow(counted(lab), { objects: 1, is: 'ignored' })
    expect(later.filter(({ is }) => is === 'ignored')).toMatchObject([{ ignored: { hidden: { count: 9 } } }])
    expect(await keys()).toEqual([...data, 'part-2.jsonl'])
  })

  test('what messages name is judged as a listing judges it: the message is settled, counted and told of', async () => {
    const store = createMemoryStore('s3://bucket/in/')
    const put = (key: string) => store.put(key, Buffer.from(line), 'absent')
    await put('_temporary/0/part-0.jsonl')
    let acknowledged = 0
    const named = ['_temporary/0/part-0.jsonl', '_temporary/0/part-1.jsonl', 'notes.txt', 'part-0.jsonl']
    const messages = named.map((key, n) => ({
      id: String(n),
      objects: [{ bucket: '', key }],
      acknowledge: async () => void acknowledged++,
      release: async () => {},
    }))
    const parts: Components = {
      ...components,
      findInput: async () => ({ root: 's3://bucket/in/', matches: () => true }),
      openInput: async () => ({
        ...store,
        async head(key) {
          for await (const version of store.list(key)) return version
          return 'missing' as const
        },
      }),
      connectors: toldBy(async () => ({
        async pull(_max, signal) {
          await put('part-0.jsonl')
          if (messages.length === 0)
            await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
          return messages.splice(0)
        },
        positionsAfter: () => null,
        backlog: async () => ({}),
        counts: {},
        close: async () => {},
      })),
    }
    const spec = sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' })
    const followed = counted(lab, { objects: 's3://bucket/in/', notifications: spec })
    const events = await follow(followed, { objects: 1, is: 'received', parts })
    expect(await keys()).toEqual(['part-0.jsonl'])
    expect(acknowledged).toBe(4)
    const ignored = {
      hidden: { count: 2, first: '_temporary/0/part-0.jsonl' },
      suffix: { count: 1, first: 'notes.txt' },
    }
    expect(events.filter(({ is }) => is === 'ignored')).toEqual([
      { is: 'ignored', by: 'listing', ignored: { hidden: { count: 1, first: '_temporary/0/part-0.jsonl' } } },
      { is: 'ignored', by: 'messages', ignored },
    ])
    expect(events).toContainEqual({ is: 'received', messages: 4, objects: 1, duplicates: 0, ignored })
  })

  test('a checkpoint that has counted hidden ones goes on: they stay counted, replay and verify (P14)', async () => {
    await write(...spark)
    await run(counted(lab, { hidden: 'read' }), { flush: false })
    const before = await keys()
    expect(before).toHaveLength(7)
    await write('_late.jsonl', 'part-9.jsonl')
    await run(counted(lab))
    expect(await keys()).toEqual([...before, 'part-9.jsonl'])
    expect(await lab.rows()).toMatchObject([{ n: '8' }])
    expect(await verify(counted(lab), { threads: 2, memory: '500MB' })).toMatchObject({
      differences: [],
      gone: [],
      changed: [],
    })
  })

  test('doctor names them', async () => {
    const input = async () =>
      (await examine(components, counted(lab), {})).find(({ check }) => check === 'input') as { message: string }
    await write('_temporary/0/part-0.jsonl')
    expect(await input()).toMatchObject({
      is: 'problem',
      message: expect.stringMatching(/1 hidden, '_temporary\/0\/part-0.jsonl'.*hidden: 'read' reads/),
    })
    await write('part-0.jsonl', 'notes.txt', '_a.jsonl')
    expect((await input()).message).toBe(
      "1 object to read; ignored: 2 hidden, the first '_a.jsonl'; 1 with another ending, 'notes.txt'",
    )
  })

  test('another value of the option is refused', () => {
    expect(() => counted(lab, { hidden: 'yes' as 'read' })).toThrow(
      /source in: hidden: 'yes' is not valid; expected 'ignore' or 'read'/,
    )
  })
})
