import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createEventStream } from '../../../src/status/page/event-stream.ts'
import { manualClock } from '../manual-clock.ts'

async function serve(streamsMax: number, facts: () => object) {
  const clock = manualClock()
  const errors: unknown[] = []
  let gathered = 0
  const gather = async () => {
    gathered++
    return facts()
  }
  const stream = createEventStream({ clock, streamsMax, gather, onError: error => errors.push(error) })
  const server = createServer((_, response) => stream.add(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    stream.close()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  })
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { clock, errors, gathered: () => gathered, address }
}

async function follow(address: string) {
  const { body } = await fetch(address)
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  onTestFinished(() => reader.cancel().catch(() => {}))
  return async () => new TextDecoder().decode((await reader.read()).value)
}

test('sends all at first, and then what has changed', async () => {
  let epoch = 1
  const { clock, address } = await serve(2, () => ({ epoch, name: 'a\nb', none: null }))
  const next = await follow(address)
  expect(await next()).toBe('data: {"epoch":1,"name":"a\\nb","none":null}\n\n')
  epoch = 2
  clock.advance(1_000)
  expect(await next()).toBe('data: {"epoch":2}\n\n')
})

test('those who are too many are told to come again, and those who follow go on', async () => {
  const { clock, address } = await serve(1, () => ({ epoch: 1 }))
  const next = await follow(address)
  expect(await next()).toContain('"epoch":1')
  const second = await fetch(address)
  expect(await second.text()).toBe('retry: 15000\nevent: full\ndata: {}\n\n')
  clock.advance(1_000)
  expect(await next()).toBe('data: {}\n\n')
})

test('facts that cannot be gathered are told, and it goes on', async () => {
  let isBroken = false
  const { clock, errors, address, gathered } = await serve(1, () => {
    if (isBroken) throw new Error('no such table')
    return { epoch: 7 }
  })
  const next = await follow(address)
  await next()
  isBroken = true
  clock.advance(1_000)
  await expect.poll(() => errors.length, { timeout: 60_000 }).toBe(1)
  isBroken = false
  const before = gathered()
  await expect.poll(() => (clock.advance(1_000), gathered()), { timeout: 60_000 }).toBeGreaterThan(before)
  expect(await next()).toBe('data: {}\n\n')
})
