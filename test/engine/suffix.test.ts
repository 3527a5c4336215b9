import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import { createKindOf } from '../../src/engine/intake/key-kind.ts'
import { files, json, type NotificationSpec, pipeline, source, sqs, to } from '../../src/index.ts'
import { logRecords } from '../../src/status/log-records.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import { failure, type Lab, openLab, type Place, run } from './harness.ts'
import { toldBy } from './told-by.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const line = '{"t":"2024-01-01","k":"a"}\n'
const write = async (bodies: Readonly<Record<string, string | Uint8Array>>) => {
  for (const [key, body] of Object.entries(bodies)) {
    await mkdir(dirname(join(lab.input, key)), { recursive: true })
    await writeFile(join(lab.input, key), body)
  }
}

interface Flow {
  readonly objects?: string
  readonly suffix?: string | readonly string[]
  readonly notifications?: NotificationSpec
}

const passing = (at: Place, { objects = lab.input, ...options }: Flow = {}) =>
  pipeline(
    'passing',
    { checkpoint: at.checkpoint },
    source('in', {
      objects,
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
      time: 't',
      miniBatch: { every: '10ms' },
      ...options,
    }).pipe(to(files(at.output, { format: 'json' }))),
  )

/** The ledger's keys, with what became of them. */
const read = async (at: Place = lab) =>
  (await lab.channel('ledger', at)).flatMap(({ is, key, outcome }) => (is === 'object' ? [`${key} ${outcome}`] : []))

/** As Firehose names them, plain and of gzip, and what else lies there. */
const firehose = {
  '2024/01/01/00/stream-1-2024-01-01-00-00-05-1b4e': line,
  '2024/01/01/00/stream-1-2024-01-01-00-05-05-77aa': gzipSync(line),
  '2024/01/01/00/stream-1-2024-01-01-00-10-05-03c1.gz': gzipSync(line),
  '2024/01/01/00/stream-1-2024-01-01-00-15-05-9f00': zstdCompressSync(line),
  'plain.jsonl': line,
  _SUCCESS: '',
}

describe('which keys are objects', () => {
  const kind = (key: string, suffixes?: readonly string[], isOne?: true) =>
    createKindOf(
      { matches: () => true, ...(isOne ? { isOne } : {}) },
      { extensions: ['.json'] },
      {
        hidden: 'ignore',
        ...(suffixes ? { suffixes } : {}),
      },
    )(key)

  test.each([
    ['a', undefined, 'suffix'],
    ['a', [''], 'object'],
    ['a.b', [''], 'object'],
    ['a/b', [''], 'object'],
    // A folder as S3's console makes it.
    ['a/', [''], 'suffix'],
    ['_a', [''], 'hidden'],
    ['a/_millrace/b', [''], 'foreign-key'],
    ['../a', [''], 'hidden'],
    ['a.JSON.gz', ['.ndjson', '.json.GZ'], 'object'],
    ['a.json', ['.ndjson', '.json.gz'], 'suffix'],
    ['a-final', ['-final'], 'object'],
  ] as const)('%s under %j: %s', (key, suffixes, expected) => expect(kind(key, suffixes)).toBe(expected))

  test('the one that is named is, whatever its name ends in', () => {
    expect(kind('a', undefined, true)).toBe('object')
    expect(kind('a.txt', ['.json'], true)).toBe('object')
  })
})

describe('a source whose keys have no extension', () => {
  test('is read with an empty suffix, each object by what its first bytes say', async () => {
    await write(firehose)
    const summary = await run(passing(lab, { suffix: '' }))
    expect((await read()).map(entry => entry.slice(-12))).toEqual([
      '05-1b4e read',
      '05-77aa read',
      '03c1.gz read',
      '05-9f00 read',
      'n.jsonl read',
    ])
    expect(summary.totals).toMatchObject({ objects: 5, rows: 5 })
    expect(summary.run.ignoredBy).toEqual({ hidden: { count: 1, first: '_SUCCESS' } })
  })

  test('is ignored without one, and that is said by reason', async () => {
    await write(firehose)
    const summary = await run(passing(lab))
    expect(await read()).toEqual(['plain.jsonl read'])
    expect(summary.run.ignoredBy).toMatchObject({ suffix: { count: 4 }, hidden: { count: 1 } })
  })

  test('is read by several suffixes, and its one object by its name', async () => {
    await write(firehose)
    await run(passing(lab, { suffix: ['.gz', '77aa'] }))
    expect((await read()).map(entry => entry.slice(-12))).toEqual(['05-77aa read', '03c1.gz read'])
    const one = lab.place('one')
    const [first = ''] = Object.keys(firehose)
    await run(passing(one, { objects: join(lab.input, first) }))
    expect(await read(one)).toEqual(['stream-1-2024-01-01-00-00-05-1b4e read'])
  })

  test('a checkpoint that ignored them goes on: the suffix is no part of the plan', async () => {
    await write(firehose)
    await run(passing(lab), { flush: false })
    await run(passing(lab, { suffix: '' }))
    expect(await read()).toHaveLength(5)
  })

  test('is no place to write to, through a glob that takes what is written', async () => {
    await write(firehose)
    const inside = { ...lab.place('x'), output: join(lab.input, '2024') }
    const error = await failure(run(passing(inside, { objects: `${lab.input}/*/*.jsonl`, suffix: '' })))
    expect(error.message).toContain('a folder outside the input')
  })
})

/** Messages that name these keys of a bucket, in which their objects lie. */
function announcing(named: readonly string[]) {
  const store = createMemoryStore('s3://bucket/in/')
  const settled: string[] = []
  const messages = named.map(key => ({
    id: key,
    objects: [{ bucket: '', key }],
    acknowledge: async () => void settled.push(key),
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
        // They land after the first listing.
        for (const key of named) if (messages.length > 0) await store.put(key, Buffer.from(line), 'absent')
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
  return { parts, settled }
}

const spec = sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' })
const announced = { objects: 's3://bucket/in/', notifications: spec } as const

async function follow(flow: ReturnType<typeof passing>, parts: Components, isOver: (event: RunEvent) => boolean) {
  const events: RunEvent[] = []
  const drain = new AbortController()
  await followWith(parts, flow, {
    threads: 2,
    memory: '500MB',
    drain: drain.signal,
    onEvent(event) {
      events.push(event)
      if (isOver(event)) drain.abort()
    },
  })
  return events
}

describe('keys without an extension that messages name', () => {
  test('are read with an empty suffix', async () => {
    const { parts, settled } = announcing(['stream-1-05-1b4e', 'notes.txt'])
    await follow(passing(lab, { ...announced, suffix: '' }), parts, event => event.is === 'epoch')
    expect((await read()).toSorted()).toEqual(['notes.txt read', 'stream-1-05-1b4e read'])
    expect(settled.toSorted()).toEqual(['notes.txt', 'stream-1-05-1b4e'])
  })

  test('are settled without one, with a count by reason and one line of the log', async () => {
    const { parts } = announcing(['stream-1-05-1b4e', 'stream-1-05-1b4f'])
    const events = await follow(
      passing(lab, announced),
      parts,
      event => event.is === 'ignored' && event.by === 'messages',
    )
    expect(await read()).toEqual([])
    const told = events.filter(({ is }) => is === 'ignored').flatMap(logRecords)
    expect(told.map(({ level, message }) => `${level} ${message}`)).toEqual([
      "info keys that messages name are ignored: 2 with another ending, the first 'stream-1-05-1b4e'",
    ])
  })
})

describe('doctor', () => {
  const input = async (flow: Flow) =>
    (await examine(components, passing(lab, flow), {})).filter(({ check }) => check === 'input')

  test('says what reads keys without an extension, and reads one', async () => {
    await write({ 'stream-1-05-77aa': gzipSync(line) })
    expect(await input({})).toMatchObject([
      {
        is: 'problem',
        message: expect.stringMatching(/1 with another ending.*suffix: '' reads what ends in anything/),
      },
    ])
    expect(await input({ suffix: '' })).toMatchObject([
      { is: 'ok', message: '1 object to read' },
      { is: 'ok', message: expect.stringMatching(/'stream-1-05-77aa', the first, has 1 row/) },
    ])
  })
})

test.each([
  [3, /source in: suffix: 3 is not valid; expected what keys end in/],
  [[], /suffix: .* is not valid/],
  [['.json', 'a/b'], /suffix\[1\]: 'a\/b' is not valid/],
] as const)('the suffix %j is refused', (suffix, message) => {
  expect(() => passing(lab, { suffix: suffix as never })).toThrow(message)
})
