import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIP, type Socket } from 'node:net'
import { errorMessage, MillraceError } from '../core/errors.ts'

/** Answers one path. */
export interface Route {
  readonly contentType: string
  respond(): Promise<{ readonly isOk: boolean; readonly body: string }>
  /** What those are given instead who would rather have HTML, as browsers do. */
  readonly html?: Handler
}

/** Answers a request by itself. It throws nothing where its answer has begun. */
export interface Handler {
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
}

export interface StatusServerOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly routes: Readonly<Record<string, Route | Handler>>
  /** Names by which it may be asked, beside `localhost`, `host` and any IP address. */
  readonly names?: readonly string[]
  readonly limits?: ConnectionLimits
  /** Told when a route throws, and the request is answered with 500; also when a connection cannot be taken. */
  onError(path: string, error: unknown): void
}

/** What one who connects may cost: each connection is a file descriptor that the work may need. */
export interface ConnectionLimits {
  /** Beyond it the one goes that has been without a request for longest. */
  readonly connectionsMax: number
  /** For a whole request, for a next one, and for taking an answer. */
  readonly patienceMs: number
}

export const everydayLimits: ConnectionLimits = { connectionsMax: 32, patienceMs: 5_000 }

export interface StatusServer {
  /** Such as 'http://127.0.0.1:9464'. */
  readonly address: string
  close(): Promise<void>
}

/** Serves GET and HEAD of these paths. @throws MillraceError `user` when it cannot listen there. */
export async function serveStatus(options: StatusServerOptions): Promise<StatusServer> {
  const { host, port, routes, names = [], limits = everydayLimits, onError } = options
  const isNamed = namedBy([host, ...names])
  const server = createLimitedServer(limits, (request, response) => {
    if (!isNamed(request.headers.host)) return send(response, 403, 'text/plain', unnamed)
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return send(response, 405, 'text/plain', 'GET and HEAD only\n')
    if (!route) return send(response, 404, 'text/plain', `expected one of ${Object.keys(routes).join(', ')}\n`)
    handlerOf(route, request)
      .handle(request, response)
      .catch((error: unknown) => {
        onError(path, error)
        send(response, 500, 'text/plain', 'failed; see the log\n')
      })
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
  // No descriptor is left to accept with: the one who asked asks again.
  server.on('error', error => onError('a connection', error))
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

function handlerOf(route: Route | Handler, { headers }: IncomingMessage): Handler {
  if ('handle' in route) return route
  if (route.html && prefersHtml(headers.accept)) return route.html
  return {
    async handle(_, response) {
      const { isOk, body } = await route.respond()
      send(response, isOk ? 200 : 503, route.contentType, body, route.html && { vary: 'accept' })
    },
  }
}

/** Browsers name it; whoever takes anything, as curl does, is given what programs read. */
function prefersHtml(accept = ''): boolean {
  return accept.split(',').some(type => type.split(';', 1)[0]?.trim().toLowerCase() === 'text/html')
}

/** A server whose connections are few and do not last. */
function createLimitedServer(
  { connectionsMax, patienceMs }: ConnectionLimits,
  respond: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const timeouts = { headersTimeout: patienceMs, requestTimeout: patienceMs, keepAliveTimeout: patienceMs }
  const server = createServer({ ...timeouts, connectionsCheckingInterval: patienceMs / 5, maxHeaderSize: 8_192 })
  server.setTimeout(2 * patienceMs)
  const open = new Set<Socket>()
  /** Those that no request is in hand of, the longest first. */
  const idle = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    if (open.size >= connectionsMax) {
      const [longest = socket] = idle
      longest.destroy()
      if (longest === socket) return
      open.delete(longest)
      idle.delete(longest)
    }
    open.add(socket)
    idle.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      idle.delete(socket)
    })
  })
  server.on('request', (request, response) => {
    const { socket } = request
    idle.delete(socket)
    response.once('close', () => {
      if (open.has(socket)) idle.add(socket)
    })
    respond(request, response)
  })
  return server
}

const unnamed = 'not served under this name: ask by IP address or as localhost, or start with --http-host NAME\n'

/**
 * Whether a Host header may be answered. A page that a browser of this network has open can have a name of its own
 * resolve to any address here (DNS rebinding); it cannot choose another name, nor an address.
 */
function namedBy(names: readonly string[]): (host: string | undefined) => boolean {
  const known = new Set(['localhost', ...names].map(name => name.toLowerCase()))
  return host => {
    // No browser leaves it out.
    if (host === undefined) return true
    const name = /^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(host)?.[1]?.toLowerCase().replace(/\.$/, '') ?? ''
    return known.has(name) || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0
  }
}

export function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  more: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(status, {
      ...more,
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
