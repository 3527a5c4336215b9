import { request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { type Route, serveStatus } from '../../src/status/http.ts'
import { failure } from '../engine/harness.ts'

const route = (isOk: boolean, body: string): Route => ({
  contentType: 'text/plain',
  respond: async () => ({ isOk, body }),
})

async function serve(routes: Readonly<Record<string, Route>>, errors: string[] = []) {
  const server = await serveStatus({ host: '127.0.0.1', port: 0, routes, onError: path => errors.push(path) })
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
