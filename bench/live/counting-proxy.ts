/** A proxy on loopback that counts what passes. The Host header stays as it was signed. */
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Passed {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly status: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

export interface CountingProxy extends AsyncDisposable {
  readonly endpoint: string
  /** What has passed since the last time it was taken. */
  take(): readonly Passed[]
}

export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target)
  const agent = new Agent({ keepAlive: true })
  let passed: Passed[] = []
  const server = createServer((incoming, answer) => {
    const { method = '', url = '', headers } = incoming
    let sentBytes = 0
    let receivedBytes = 0
    incoming.on('data', (chunk: Buffer) => (sentBytes += chunk.length))
    const forwarded = request({ hostname, port, method, path: url, headers, agent }, from => {
      const status = from.statusCode ?? 0
      answer.writeHead(status, from.headers)
      from.on('data', (chunk: Buffer) => (receivedBytes += chunk.length))
      from.on('end', () => passed.push({ method, url, status, sentBytes, receivedBytes }))
      from.pipe(answer)
    })
    forwarded.on('error', () => answer.destroy())
    incoming.pipe(forwarded)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = passed
      passed = []
      return taken
    },
    async [Symbol.asyncDispose]() {
      agent.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
