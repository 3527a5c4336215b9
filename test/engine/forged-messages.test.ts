/** Messages that anybody may have written, through the running daemon: a message is a hint, never a fact. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import { files, json, type Pipeline, pipeline, source, sqs, to } from '../../src/index.ts'
import type { NotificationSource } from '../../src/core/ports.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { address, type Bucket, componentsOf, createBucket, type Stored, type Versions } from './bucket.ts'
import { type Carrier, carriers } from './carriers.ts'
import { forge, messageOf, pick, type Random, recordOf } from './forge.ts'
import { type Lab, openLab, type Place } from './harness.ts'
import { toldBy } from './told-by.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** Forged messages in each of the tests. */
const forged = wholeFromEnvironment('MILLRACE_FORGED', 250)

/** Every row of what is read comes out once. */
const rowsOf = (at: Place): Pipeline =>
  pipeline(
    'rows',
    { checkpoint: at.checkpoint },
    source('in', {
      objects: address,
      notifications: sqs({ queueUrl: 'http://127.0.0.1:1/000000000000/landed', region: 'us-east-1' }),
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', id: 'VARCHAR' },
      time: 't',
      overwrite: 'append',
      reconcile: false,
      miniBatch: { every: '10ms', objectsMax: 100, bytesMax: 200_000 },
    }).pipe(to(files(at.output, { format: 'json' }))),
  )

const idsOf = ({ body }: Stored): string[] =>
  [...body.toString().matchAll(/"id":"([^"]+)"/g)].map(([, id]) => id as string)

/** A daemon in this process, and what it has not settled of what it took. */
function follow(bucket: Bucket, carrier: Carrier, at: Place) {
  const drain = new AbortController()
  const events: RunEvent[] = []
  let held = 0
  let change = () => {}
  const tell = () => change()
  const parts: Components = {
    ...componentsOf(bucket),
    connectors: toldBy(async (_spec, context) => counted(carrier.open(context))),
  }
  function counted(opened: NotificationSource): NotificationSource {
    return {
      ...opened,
      async pull(max, signal) {
        const messages = await opened.pull(max, signal)
        held += messages.length
        return messages.map(message => ({
          ...message,
          async acknowledge() {
            await message.acknowledge()
            held--
            tell()
          },
        }))
      },
    }
  }
  const options = {
    threads: 2,
    memory: '500MB',
    drain: drain.signal,
    onEvent(event: RunEvent) {
      events.push(event)
      tell()
    },
  }
  const ended = followWith(parts, rowsOf(at), options)
  const until = async (condition: () => boolean) => {
    while (!condition())
      await Promise.race([new Promise<void>(resolve => (change = resolve)), ended, components.clock.sleep(20)])
  }
  return {
    events,
    /** Resolves when no more than so many messages are waited for. */
    calm: (most: number) => until(() => carrier.waiting + held <= most),
    async end() {
      await until(() => carrier.waiting + held === 0)
      drain.abort()
      return ended
    },
  }
}

/** Objects land, and are truly told of a little later, among forged messages about them and about what lands next. */
async function play(bucket: Bucket, carrier: Carrier, calm: (most: number) => Promise<void>, random: Random) {
  const untold: Stored[] = []
  const keys: string[] = []
  const bodyOf = (landed: number) => {
    // Some are larger than one get, and than a mini-batch may hold.
    const lines = pick([0, 1, 3, 3, 3, 100, 3_000], random)
    return Array.from(
      { length: lines },
      (_, line) => `{"t":"2024-01-01T00:00:${String(line % 60).padStart(2, '0')}Z","id":"${landed}.${line}"}\n`,
    ).join('')
  }
  let landed = 0
  const land = () => {
    const isNew = keys.length === 0 || random() < 0.8
    const key = isNew ? `${landed}.jsonl` : pick(keys, random)
    if (isNew) keys.push(key)
    bucket.put(key, `${bodyOf(landed)}{"t":"2024-01-01T00:00:00Z","id":"last of ${landed}"}\n`)
    untold.push(bucket.stored.at(-1) as Stored)
    landed++
  }
  const tellOne = () => {
    const told = untold.splice(Math.floor(random() * untold.length), 1)[0]
    if (told) carrier.send(messageOf(recordOf(told)))
  }
  land()
  for (let sent = 0; sent < forged; sent++) {
    if (random() < 0.1) land()
    if (random() < 0.1) tellOne()
    carrier.send(forge(bucket.stored, random))
    if (random() < 0.02) await calm(20)
  }
  while (untold.length > 0) tellOne()
  land()
  tellOne()
}

describe.each(Object.keys(carriers) as (keyof typeof carriers)[])('through %s', name => {
  test.each<Versions>(['kept', 'refused', 'ignored'])(
    'forged messages about a bucket whose versions are %s end nothing, are believed in nothing, and hide no object',
    async versions => {
      const { random, label } = drawn()
      const bucket = createBucket(versions)
      const carrier = carriers[name]()
      const at = lab.place('live')
      const daemon = follow(bucket, carrier, at)
      await play(bucket, carrier, daemon.calm, random)
      const { totals } = await daemon.end()

      expect(
        daemon.events.filter(({ is }) => is === 'restarting'),
        label,
      ).toEqual([])
      const ledger = (await lab.channel('ledger', at)).filter(row => row.is === 'object')
      const read = ledger.filter(row => row.outcome === 'read')
      const found = read.map(row => {
        const one = bucket.stored.find(
          ({ key, eTag, versionId }) =>
            key === row.key && eTag === row.e_tag && (row.version_id === null || row.version_id === versionId),
        )
        // What the ledger says is what the store says.
        expect([label, row.key, row.size_bytes, row.last_modified_ms, row.rows]).toEqual([
          label,
          one?.key,
          `${one?.sizeBytes}`,
          `${one?.lastModifiedMs}`,
          `${idsOf(one as Stored).length}`,
        ])
        return one as Stored
      })
      // Each version counts once, and its rows came out once.
      expect(new Set(found).size, label).toBe(found.length)
      const ids = found.flatMap(idsOf)
      expect((await lab.rows(at)).map(({ id }) => `${id}`).toSorted(), label).toEqual(ids.toSorted())
      expect(totals.rows, label).toBe(ids.length)
      // Every version that is still there was truly told of, so it was read.
      const there = bucket.stored.filter(
        (one, index) => versions === 'kept' || !bucket.stored.slice(index + 1).some(({ key }) => key === one.key),
      )
      expect(
        there.filter(one => !found.includes(one)).map(({ key }) => key),
        label,
      ).toEqual([])
      // What was never there has no size.
      for (const row of ledger.filter(entry => !bucket.stored.some(({ key }) => key === entry.key)))
        expect([label, row.key, row.outcome === 'read', row.size_bytes]).toEqual([label, row.key, false, '0'])
    },
    120_000,
  )
})
