import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request, as far as a script judges it. */
export interface ScriptedRequest {
  readonly method: string
  /** Percent-decoded; '' of the bucket itself. */
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface ScriptedAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: string | Uint8Array
  /** A body that has no length and does not end. */
  readonly isEndless?: boolean
}

export interface ScriptedS3 {
  readonly endpoint: string
  readonly requests: readonly ScriptedRequest[]
  /** Bytes of endless bodies that were taken. */
  readonly endlessBytes: number
  close(): Promise<void>
}

/** A server on loopback that answers what no real one does: what a store says is not to be believed beyond what can be checked. */
export async function startScriptedS3(answer: (request: ScriptedRequest) => ScriptedAnswer): Promise<ScriptedS3> {
  const requests: ScriptedRequest[] = []
  let endlessBytes = 0
  const server = createServer((incoming, outgoing) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://here')
    const [, , ...path] = pathname.split('/')
    const request = {
      method: incoming.method ?? '',
      key: decodeURIComponent(path.join('/')),
      query: searchParams,
      headers: incoming.headers,
    }
    requests.push(request)
    const { status = 200, headers = {}, body = '', isEndless = false } = answer(request)
    outgoing.writeHead(status, isEndless ? headers : { 'content-length': Buffer.byteLength(body), ...headers })
    if (!isEndless) return void outgoing.end(request.method === 'HEAD' ? undefined : body)
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const more = (): void => {
      while (!outgoing.destroyed && outgoing.write(chunk)) endlessBytes += chunk.length
    }
    outgoing.on('drain', more).on('error', () => {})
    more()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get endlessBytes() {
      return endlessBytes
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A page of ListObjectsV2; `contents` are fields of each entry as XML has them. */
export function listingXml(
  contents: readonly Readonly<Record<string, string | number>>[],
  page: Readonly<Record<string, string>> = {},
): string {
  const fields = (of: Readonly<Record<string, string | number>>) =>
    Object.entries(of)
      .map(([name, value]) => `<${name}>${value}</${name}>`)
      .join('')
  return `<?xml version="1.0"?><ListBucketResult>${fields({ IsTruncated: 'false', ...page })}${contents
    .map(
      entry =>
        `<Contents>${fields({ ETag: '&quot;e&quot;', Size: 1, LastModified: '2024-01-01T00:00:00.000Z', ...entry })}</Contents>`,
    )
    .join('')}</ListBucketResult>`
}
