import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCsvFormat } from '../../connectors/csv/format.ts'
import { connectors, formats } from '../../connectors/registry.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { followWith } from '../../src/engine/follow.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  type NotificationSpec,
  pipeline,
  source,
  to,
  tumbling,
} from '../../src/index.ts'
import type { FormatConnector } from '../../src/plan/format.ts'
import type { FormatSpec, SourceOptions } from '../../src/plan/source-options.ts'
import { examine } from '../../src/status/doctor/doctor.ts'
import { createRedact, secretsOf } from '../../src/status/redact.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { folder, folderConnector } from './folder/index.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const hourly = (notifications: NotificationSpec) =>
  pipeline(
    'hourly',
    { checkpoint: lab.checkpoint },
    source('in', {
      objects: 's3://bucket/in/',
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
      time: 't',
      watermark: { delay: '0s' },
      reconcile: false,
      notifications,
    }).pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(lab.output, { format: 'json' }))),
  )

/** As messages name them. */
const callsOf = (all: readonly { readonly call: string }[]) => all.map(({ call }) => call).join(' or ')

/** A bucket in memory, and the product's connectors with one more. */
function parts(): { readonly parts: Components; readonly store: ReturnType<typeof createMemoryStore> } {
  const store = createMemoryStore('s3://bucket/in/')
  return {
    store,
    parts: {
      ...components,
      connectors: [...connectors, folderConnector],
      findInput: async () => ({ root: 's3://bucket/in/', matches: () => true }),
      openInput: async () => ({
        ...store,
        async head(key) {
          for await (const version of store.list(key)) return version
          return 'missing' as const
        },
      }),
    },
  }
}

describe('a connector that only its folder and its entry in the list know', () => {
  const line = (hour: number) => `{"t":"2024-01-01 0${hour}:10:00","k":"a"}\n`
  const message = (key: string) =>
    JSON.stringify({
      Records: [
        { eventVersion: '2.1', eventName: 'ObjectCreated:Put', s3: { bucket: { name: 'bucket' }, object: { key } } },
      ],
    })

  test('announces objects to a run, and is acknowledged after their commit (P9)', async () => {
    const path = join(lab.output, '..', 'messages')
    await mkdir(path)
    const { parts: given, store } = parts()
    const spec = folder({ path })
    const open: typeof folderConnector.open = async (own, context) => {
      // They land after the first listing, so nothing but a message names them.
      for (const hour of [1, 2]) {
        await store.put(`${hour}.jsonl`, Buffer.from(line(hour)), 'absent')
        await writeFile(join(path, `${hour}.json`), message(`in/${hour}.jsonl`))
      }
      return folderConnector.open(own, context)
    }
    const told = { ...given, connectors: [...connectors, { ...folderConnector, open }] }
    const summary = await followWith(told, hourly(spec), { threads: 2, memory: '500MB', untilIdle: true })
    expect(summary.totals).toMatchObject({ objects: 2, rows: 2 })
    expect((await lab.channel('ledger', lab)).map(({ key }) => key)).toEqual(['1.jsonl', '2.jsonl'])
    expect(await readdir(path)).toEqual([])
  })

  test('is judged by doctor, and no bucket is asked where none announces', async () => {
    const { parts: given } = parts()
    const judged = async (path: string) =>
      (await examine(given, hourly(folder({ path })), {})).filter(({ check }) =>
        ['folder', 'notifications'].includes(check),
      )
    expect(await judged(lab.output)).toEqual([
      { check: 'folder', is: 'ok', message: `folder ${lab.output} is there, with 0 messages` },
    ])
    expect(await judged(join(lab.output, 'none'))).toMatchObject([{ check: 'folder', is: 'problem' }])
  })

  test('has its secrets taken out of logs by its options', () => {
    const spec = folder({ path: '/messages', password: 'swordfish' })
    expect(secretsOf([spec], {}, [...connectors, folderConnector])).toEqual(['swordfish'])
  })
})

describe('a kind that no connector is described by', () => {
  const spec: NotificationSpec = { ...folder({ path: '/messages', password: 'swordfish' }), notifications: 'kafkaa' }

  test('is refused before anything is claimed, by run and by doctor', async () => {
    const { parts: given } = parts()
    const expected = `source in: notifications: 'kafkaa' is not valid; expected ${callsOf([...connectors, folderConnector])} (did you mean 'kafka'?).`
    await expect(followWith(given, hourly(spec), { threads: 2, untilIdle: true })).rejects.toMatchObject({
      kind: 'user',
      message: expected,
    })
    expect(await readdir(lab.checkpoint).catch(() => [])).toEqual([])
    expect(await examine(given, hourly(spec), {})).toContainEqual({
      check: 'notifications',
      is: 'problem',
      message: expected,
    })
  })

  test('shows nothing of itself in a log, whatever holds it', () => {
    const held = {
      notifications: 'amqp',
      url: new URL('amqp://broker/swordfish'),
      pins: [12345678, 9n ** 20n],
      key: Buffer.from('private'),
    }
    const redact = createRedact(secretsOf([held], {}))
    const said = redact(`amqp://broker/swordfish said 12345678, ${9n ** 20n} and private`)
    expect(said).toBe('[redacted] said [redacted], [redacted] and [redacted]')
    // What every object inherits is no connector.
    expect(secretsOf([{ notifications: 'constructor', password: 'swordfish' } as NotificationSpec], {})).toContain(
      'swordfish',
    )
  })
})

describe('the connectors of the product', () => {
  test('have kinds of their own, and calls that are named after them', () => {
    const kinds = connectors.map(({ kind }) => String(kind))
    expect(new Set(kinds).size).toBe(kinds.length)
    expect(connectors.map(({ call }) => call)).toEqual(kinds.map(kind => `${kind}({...})`))
  })

  test.each(connectors.map(connector => [String(connector.kind), connector] as const))(
    'what %s has beside its options is secret',
    (kind, { options }) => {
      expect(Object.keys(options)).not.toContain('notifications')
      expect(secretsOf([{ notifications: kind, elsewhere: { pass: 'swordfish' } } as NotificationSpec], {})).toEqual([
        'swordfish',
      ])
    },
  )
})

describe('a format that only its entry in the list knows', () => {
  interface TsvSettings {
    readonly nullText: string
  }
  const tsv = (settings: TsvSettings): FormatSpec => ({ format: 'tsv', settings })
  const tsvFormat: FormatConnector<TsvSettings> = {
    kind: 'tsv',
    call: 'tsv({...})',
    options: {},
    create: ({ nullText }) => ({
      ...createCsvFormat({ header: true, delimiter: '\t', quote: '"', escape: '"', nullText }),
      name: 'tsv',
      extensions: ['.tsv'],
    }),
  }
  const columns = { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' } as const
  const counted = (format: FormatSpec, more: Partial<SourceOptions<typeof columns, 't'>> = {}) =>
    pipeline(
      'counted',
      { checkpoint: lab.checkpoint },
      source('in', { objects: lab.input, format, columns, time: 't', ...more }).pipe(
        tumbling('1 hour'),
        groupBy('k'),
        aggregate({ n: count() }),
        to(files(lab.output, { format: 'json' })),
      ),
    )

  test('is read, finds objects by its ending, and has its settings in the plan', async () => {
    await writeFile(join(lab.input, 'a.tsv'), 't\tk\n2024-01-01 01:10:00\ta\n2024-01-01 01:20:00\t-\n')
    await writeFile(join(lab.input, 'a.csv'), 'none of its own')
    const parts = { ...components, formats: [...formats, tsvFormat] }
    const summary = await backfillWith(parts, counted(tsv({ nullText: '-' })), { threads: 1 })
    expect(summary.totals).toMatchObject({ objects: 1, rows: 2 })
    expect((await lab.rows()).map(({ k, n }) => [k, n])).toEqual([
      ['a', '1'],
      [null, '1'],
    ])
    // Other settings are another plan.
    await expect(backfillWith(parts, counted(tsv({ nullText: 'NULL' })), { threads: 1 })).rejects.toMatchObject({
      kind: 'user',
      message: expect.stringContaining('no longer fits its checkpoint'),
    })
  })

  test('is refused by name where nothing has described it, before anything is claimed', async () => {
    await expect(backfillWith(components, counted(tsv({ nullText: '-' })), { threads: 1 })).rejects.toMatchObject({
      kind: 'user',
      message: `source in: format: 'tsv' is not valid; expected ${callsOf(formats)} (did you mean 'csv'?).`,
    })
    expect(await readdir(lab.checkpoint).catch(() => [])).toEqual([])
  })

  test('has a name that is no other part of a source in the plan', () => {
    const reserved = ['name', 'format', 'columns', 'defaults', 'from', 'facts', 'keyPattern', 'rescue', 'time']
    for (const { kind } of formats) expect([...reserved, 'delayUs', 'bounds', 'mark']).not.toContain(kind)
    expect(new Set(formats.map(({ kind }) => String(kind))).size).toBe(formats.length)
  })
})
