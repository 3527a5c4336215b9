import type { S3Client } from '@aws-sdk/client-s3'
import type { OnRequest, RequestKind } from '../../src/core/requests.ts'

type Handler = S3Client['config']['requestHandler']
type Request = Parameters<Handler['handle']>[0]

/** Has each request told that the client sends, those too that go past the SDK (`plain-get.ts`). */
export function countRequests({ config: { requestHandler } }: S3Client, onRequest: OnRequest): void {
  const handle = requestHandler.handle.bind(requestHandler)
  requestHandler.handle = (request, options) => {
    onRequest(kindOf(request))
    return handle(request, options)
  }
}

/** By what S3 charges for it. */
export function kindOf({ method, query = {} }: Pick<Request, 'method' | 'query'>): RequestKind {
  if (method === 'DELETE' || (method === 'POST' && 'delete' in query)) return 'delete'
  if (method !== 'GET' && method !== 'HEAD') return 'put'
  return listings.some(name => name in query) ? 'list' : 'get'
}

const listings = ['list-type', 'versions', 'uploads']
