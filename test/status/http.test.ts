import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { type Route, serveStatus, type StatusServerOptions } from '../../src/status/http.ts'
import { failure } from '../engine/harness.ts'

const route = (isOk: boolean, body: string): Route => ({
  contentType: 'text/plain',
  respond: async () => ({ isOk, body }),
})

async function serve(
  routes: Readonly<Record<string, Route>>,
  errors: string[] = [],
  more: Partial<Pick<StatusServerOptions, 'names' | 'limits'>> = {},
) {
  const server = await serveStatus({ host: '127.0.0.1', port: 0, routes, onError: path => errors.push(path), ...more })
  onTestFinished(() => server.close())
  return server
}

test('answers its paths, by GET and HEAD only', async () => {
  const { address } = await serve({ '/yes': route(true, 'é\n'), '/no': route(false, 'not yet\n') })
  const yes = await fetch(`${address}/yes?ignored=1`)
  expect([yes.status, await yes.text(), yes.headers.get('cache-control')]).toEqual([200, 'é\n', 'no-store'])
  const no = await fetch(`${address}/no`)
  expect([no.status, await no.text()]).toEqual([503, 'not yet\n'])
  expect((await fetch(`${address}/yes`, { method: 'POST', body: 'x' })).status).toBe(405)
  const head = await fetch(`${address}/yes`, { method: 'HEAD' })
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '3', ''])
  const other = await fetch(`${address}/constructor`)
  expect([other.status, await other.text()]).toEqual([404, 'expected one of /yes, /no\n'])
})

test('a route that throws is told, and the server goes on', async () => {
  const errors: string[] = []
  const broken: Route = { contentType: 'text/plain', respond: () => Promise.reject(new Error('secret')) }
  const { address } = await serve({ '/': broken, '/yes': route(true, 'yes') }, errors)
  const answer = await fetch(address)
  expect([answer.status, await answer.text(), errors]).toEqual([500, 'failed; see the log\n', ['/']])
  expect((await fetch(`${address}/yes`)).status).toBe(200)
})

test('a port in use is an error that says what to do', async () => {
  const { address } = await serve({})
  const port = Number(new URL(address).port)
  const error = await failure(serveStatus({ host: '127.0.0.1', port, routes: {}, onError: () => {} }))
  expect(error.kind).toBe('user')
  expect(error.message).toBe(
    `--http: cannot listen at 127.0.0.1:${port}: another process listens there. Give another address (--http HOST:PORT), or none (--no-http).`,
  )
})

test('closes under a connection that is kept alive', async () => {
  const server = await serveStatus({
    host: '127.0.0.1',
    port: 0,
    routes: { '/': route(true, 'ok') },
    onError: () => {},
  })
  await new Promise<void>((resolve, reject) => {
    const asked = request(server.address, { headers: { connection: 'keep-alive' } }, response => {
      response.resume().on('end', resolve)
    })
    asked.on('error', reject).end()
  })
  await server.close()
  await expect(fetch(server.address)).rejects.toThrow('fetch failed')
})

/** What one who names the server so is answered. */
const askedAs = (address: string, host: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    request(address, { headers: { host } }, response => resolve(response.resume().statusCode))
      .on('error', reject)
      .end()
  })

test('is not served under a name that a page elsewhere has chosen (DNS rebinding)', async () => {
  const { address } = await serve({ '/': route(true, 'ok') }, [], { names: ['millrace.example', 'Metrics'] })
  for (const host of ['127.0.0.1', '10.1.2.3:9464', '[::1]:9464', '[fe80::1]', 'localhost', 'LOCALHOST.:80'])
    expect(await askedAs(address, host), host).toBe(200)
  for (const host of ['millrace.example', 'MILLRACE.example:9464', 'metrics'])
    expect(await askedAs(address, host)).toBe(200)
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:9464', 'a:b:c', '[evil]'])
    expect(await askedAs(address, host), host).toBe(403)
})

/** Connections that send this and nothing more. */
async function connections(address: string, count: number, text: string): Promise<readonly Socket[]> {
  const { hostname, port } = new URL(address)
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect(Number(port), hostname).on('error', () => {})
      onTestFinished(() => void socket.destroy())
      await Promise.race([once(socket, 'connect'), once(socket, 'close')])
      socket.write(text)
      return socket
    }),
  )
}

test.each([
  ['nothing', ''],
  ['half of a request', 'GET / HTTP/1.1\r\nHost: localhost\r\n'],
  ['whole requests, kept alive', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
])('connections that send %s are few, and one who asks is answered beside them', async (_, sent) => {
  const limits = { connectionsMax: 8, patienceMs: 60_000 }
  const { address } = await serve({ '/': route(true, 'ok') }, [], { limits })
  const sockets = await connections(address, 300, sent)
  const closed = () => sockets.filter(socket => socket.destroyed || socket.readableEnded)
  for (const socket of sockets) socket.resume()
  await expect.poll(() => closed().length, { timeout: 60_000 }).toBe(292)
  for (let n = 0; n < 3; n++) expect(await askedAs(address, 'localhost')).toBe(200)
})

test.each(['', 'GET / HTTP/1.1\r\n', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'])(
  'a connection that is left after %j ends by itself',
  async sent => {
    const { address } = await serve({ '/': route(true, 'ok') }, [], { limits: { connectionsMax: 8, patienceMs: 50 } })
    const [socket] = await connections(address, 1, sent)
    await once((socket as Socket).resume(), 'close')
    expect(await askedAs(address, 'localhost')).toBe(200)
  },
)
