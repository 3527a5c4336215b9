import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/**
 * - a status with S3's code: answered by the proxy, the server behind sees nothing;
 * - `reset-before`: the connection breaks, the server behind sees nothing;
 * - `reset-after`: the server behind did it, and the connection breaks before its answer;
 * - `status-after`: the server behind did it, and the answer is that status;
 * - `truncated`: half of the body, then the connection breaks;
 * - `stalled`: half of the body, then nothing for ever; `hung`: no answer for ever.
 */
export type HttpFault =
  | { readonly is: 'status' | 'status-after'; readonly status: number; readonly code: string }
  | { readonly is: 'reset-before' | 'reset-after' | 'truncated' | 'stalled' | 'hung' }

export interface FaultyProxy {
  readonly endpoint: string
  /** Requests that came, as 'GET /bucket/key?query'. */
  readonly requests: readonly string[]
  /** The next requests that match meet these, one each. */
  next(method: string, ...faults: readonly HttpFault[]): void
  close(): Promise<void>
}

/** An HTTP proxy before one server, on loopback, that fails by script and tells of every request. Host names are kept, so signatures hold. */
export async function startFaultyProxy(
  endpoint: string,
  onRequest: (request: string, stage: 'came' | 'applied') => void = () => {},
): Promise<FaultyProxy> {
  const target = new URL(endpoint)
  const requests: string[] = []
  const scripted: { readonly method: string; readonly fault: HttpFault }[] = []
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing).catch(() => outgoing.destroy()))

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const name = `${incoming.method} ${incoming.url}`
    requests.push(name)
    onRequest(name, 'came')
    const at = scripted.findIndex(({ method }) => method === incoming.method)
    const fault = at < 0 ? undefined : scripted.splice(at, 1)[0]?.fault
    const sent = await buffer(incoming)
    if (fault?.is === 'status') return answer(outgoing, fault.status, fault.code)
    if (fault?.is === 'reset-before') return void incoming.socket.resetAndDestroy()
    if (fault?.is === 'hung') return
    const onward = request({
      host: target.hostname,
      port: target.port,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
    })
    onward.end(sent)
    const [response] = (await once(onward, 'response')) as [IncomingMessage]
    const body = await buffer(response)
    onRequest(name, 'applied')
    if (fault?.is === 'reset-after') return void incoming.socket.resetAndDestroy()
    if (fault?.is === 'status-after') return answer(outgoing, fault.status, fault.code)
    outgoing.writeHead(response.statusCode ?? 500, response.headers)
    if (fault === undefined) return void outgoing.end(incoming.method === 'HEAD' ? undefined : body)
    outgoing.write(body.subarray(0, body.length / 2))
    if (fault.is === 'truncated') setImmediate(() => incoming.socket.destroySoon())
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    next(method, ...faults) {
      scripted.push(...faults.map(fault => ({ method, fault })))
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function answer(outgoing: ServerResponse, status: number, code: string): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>by the proxy</Message></Error>`
  outgoing.writeHead(status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) }).end(body)
}
