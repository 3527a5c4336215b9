import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { askProcess } from '../../src/cli/ask-process.ts'
import { systemClock } from '../../src/core/clock.ts'
import { type LiveFacts, liveText } from '../../src/engine/report/live.ts'
import { openStatus } from '../../src/status/status.ts'
import { measurement } from '../status/measurement.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function served(listener: RequestListener): Promise<URL> {
  const server: Server = createServer(listener)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}

const asked = { pipeline: 'zones', checkpoint: 'file:///ck' }

test('the status port of a run is understood: what is in flight, what waits, which sinks are behind', async () => {
  let address = ''
  const status = await openStatus({
    clock: systemClock,
    pipeline: 'zones',
    version: '0',
    log: ({ fields }) => {
      if (typeof fields?.address === 'string') address = fields.address
    },
    redact: value => value,
    http: { host: '127.0.0.1', port: 0, invocation: 'millrace', token: 'for the page alone' },
  })
  closing.push(() => status.close())
  const before = await askProcess(new URL(address))
  expect(before.is === 'answered' && liveText(address, before.facts, asked)).toBe(
    `The process at ${address} has no checkpoint yet: it is starting, as the checkpoint is not claimed yet.`,
  )
  status.onRunning({
    plan: { version: 1, nodes: [], flows: {} } as never,
    stalledMs: () => 0,
    measure: async () => measurement,
  })
  status.onEvent({ is: 'started', checkpoint: 'file:///ck', term: 3 } as never)
  const found = await askProcess(new URL(address))
  expect(found.is === 'answered' && liveText(address, found.facts, asked)).toBe(
    `The process at ${address} follows its sources, and epoch 7 is its last one. 11 messages wait; ` +
      '5 objects are on their way into epoch 8 or later. ' +
      'The sink of flow-1 is 2 epochs behind: it is away, or slow, and the log says `trouble`. ' +
      'The sink of flow-2 is 3 epochs behind: it is away, or slow, and the log says `trouble`.',
  )
})

test('another pipeline, and another checkpoint, are told apart', () => {
  const run = { checkpoint: 'file:///ck', epoch: 7, objects: 0, messages: 0, behind: [] }
  const facts: LiveFacts = { pipeline: 'zones', state: 'running', run }
  const text = (of: LiveFacts) => liveText('http://h/', of, asked)
  expect(text(facts)).toBe('The process at http://h/ follows its sources, and epoch 7 is its last one. Nothing waits.')
  expect(text({ ...facts, pipeline: 'other\u001b[2J' })).toBe(
    "The process at http://h/ runs pipeline 'other\\u001b[2J', not zones, so nothing is told of it.",
  )
  expect(text({ ...facts, run: { ...run, checkpoint: 'file:///other' } })).toBe(
    'The process at http://h/ runs it with another checkpoint, file:///other, so nothing is told of it.',
  )
  expect(text({ ...facts, state: 'standby', why: 'another process owns the checkpoint and is alive' })).toContain(
    'is standby: another process owns the checkpoint and is alive, and epoch 7',
  )
})

const json =
  (value: unknown): RequestListener =>
  (_, response) =>
    void response.end(JSON.stringify(value))
const whole = { pipeline: 'zones', state: 'running', checkpoint: 'c', epoch: 1, inHand: 0, sinks: [], undelivered: [] }

test('of an answer nothing is believed that is not as a run tells it', async () => {
  const why = async (listener: RequestListener) => {
    const found = await askProcess(await served(listener))
    return found.is === 'unknown' ? found.why : found.facts
  }
  const other = 'it does not answer as the status port of a run does'
  expect(await why(json(whole))).toMatchObject({ pipeline: 'zones', run: { epoch: 1, behind: [] } })
  for (const answer of [
    null,
    [],
    'text',
    {},
    { pipeline: 'zones' },
    { ...whole, epoch: '1' },
    { ...whole, epoch: -1 },
    { ...whole, inHand: 0.5 },
    { ...whole, sinks: 3 },
    { ...whole, sinks: [{ flow: 'flow-1' }] },
    { ...whole, sinks: [{ flow: 'flow-1', epochs: -1 }] },
    { ...whole, backlog: { messages: 'many' } },
  ])
    expect(await why(json(answer)), JSON.stringify(answer)).toBe(other)
  expect(await why((_, response) => void response.end('<html>'))).toBe(other)
  expect(await why((_, response) => void response.end(Buffer.alloc(5 * 1024 ** 2, ' ')))).toBe(other)
  expect(await why((_, response) => void response.writeHead(503).end('away'))).toBe('it answers 503')
  expect(await why((_, response) => void response.writeHead(302, { location: 'http://h/' }).end())).toMatch(
    /^it does not answer \(/,
  )
  expect(await why(({ socket }) => void socket.destroy())).toMatch(/^it does not answer \(/)
})
