import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { errorMessage, MillraceError } from '../core/errors.ts'

/** Answers one path. */
export interface Route {
  readonly contentType: string
  respond(): Promise<{ readonly isOk: boolean; readonly body: string }>
}

export interface StatusServerOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly routes: Readonly<Record<string, Route>>
  /** Told when a route throws; the request is answered with 500. */
  onError(path: string, error: unknown): void
}

export interface StatusServer {
  /** Such as 'http://127.0.0.1:9464'. */
  readonly address: string
  close(): Promise<void>
}

/** Serves GET and HEAD of these paths. @throws MillraceError `user` when it cannot listen there. */
export async function serveStatus({ host, port, routes, onError }: StatusServerOptions): Promise<StatusServer> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, 'text/plain', 'GET and HEAD only\n')
    if (!route) return send(response, 404, 'text/plain', `expected one of ${Object.keys(routes).join(', ')}\n`)
    route.respond().then(
      ({ isOk, body }) => send(response, isOk ? 200 : 503, route.contentType, body),
      (error: unknown) => {
        onError(path, error)
        send(response, 500, 'text/plain', 'failed; see the log\n')
      },
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  }).catch((error: unknown) => {
    throw cannotListen(host, port, error)
  })
  const bound = server.address() as AddressInfo
  return {
    address: `http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`,
    async close() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response
    .writeHead(status, {
      'content-type': contentType,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    // Node leaves the body out of an answer to HEAD.
    .end(body)
}

function cannotListen(host: string, port: number, error: unknown): MillraceError {
  const code = (error as NodeJS.ErrnoException).code
  const why =
    code === 'EADDRINUSE'
      ? 'another process listens there'
      : code === 'EACCES'
        ? 'this user may not listen there'
        : errorMessage(error)
  return new MillraceError(
    'user',
    'http-address',
    `--http: cannot listen at ${host}:${port}: ${why}. Give another address (--http HOST:PORT), or none (--no-http).`,
    error,
  )
}
