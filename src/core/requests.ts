/**
 * Requests that a service charges for, by how it prices them: writes (PUT, COPY, POST), listings, reads (GET, HEAD) and
 * deletes of objects, and all requests to queues.
 */
export const requestKinds = ['put', 'list', 'get', 'delete', 'queue'] as const
export type RequestKind = (typeof requestKinds)[number]

/** Told of each request that is sent, answered or not. */
export type OnRequest = (kind: RequestKind) => void
