import { connectionMistake } from '../aws/connection-mistake.ts'
import { errorMessage, MillraceError } from '../../src/core/errors.ts'
import { parseExact, stringifyExact } from './exact-json.ts'
import type { RestAccess } from './rest-spec.ts'
import { signerFor } from './rest-signer.ts'

/** What a catalog answered. */
export interface RestAnswer {
  readonly status: number
  readonly body: unknown
}

/** The calls of a REST catalog. Which answers are errors is for the caller to say. */
export interface RestClient {
  /** @throws MillraceError `retry` where nothing is answered; `user` where it is not let in */
  call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<RestAnswer>
}

/** An answer takes so long at most. */
const timeoutMs = 60_000

export function openRestClient(access: RestAccess, fetched: typeof fetch = fetch): RestClient {
  const base = access.url.replace(/\/+$/, '')
  const signed = access.sigv4 && signerFor(access.sigv4)
  let token = access.token

  async function once(method: string, url: URL, body: string | undefined, headers: Record<string, string>) {
    try {
      const answer = await fetched(url, {
        method,
        headers,
        ...(body !== undefined && { body }),
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      })
      return { status: answer.status, text: await answer.text() }
    } catch (error) {
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
      const mistake = connectionMistake(cause)
      if (mistake !== undefined) throw new MillraceError('user', 'configuration', `${base}: ${mistake}`, cause)
      throw new MillraceError('retry', 'catalog-unavailable', `${base} does not answer: ${errorMessage(cause)}.`, cause)
    }
  }

  async function fetchToken(): Promise<string> {
    const { oauth } = access
    if (!oauth) throw new Error('no way to a token')
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: oauth.clientId,
      client_secret: oauth.clientSecret,
      scope: oauth.scope ?? 'catalog',
    })
    const at = new URL(oauth.url ?? `${base}/v1/oauth/tokens`)
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const { status, text } = await once('POST', at, form.toString(), headers)
    const found = status === 200 ? (parsed(text) as { readonly access_token?: unknown }) : {}
    if (typeof found.access_token === 'string') return found.access_token
    if (status >= 500) throw away(base, status)
    throw refused(base, `${at.origin}${at.pathname} gave no token (${status}); check clientId and clientSecret`)
  }

  async function headersOf(method: string, url: URL, body: string | undefined): Promise<Record<string, string>> {
    const plain = {
      accept: 'application/json',
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    if (signed) return signed(method, url, plain, body)
    if (access.oauth) token ??= await fetchToken()
    return { ...plain, ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  }

  return {
    async call(method, path, content) {
      const url = new URL(`${base}/v1${path}`)
      const body = content === undefined ? undefined : stringifyExact(content)
      for (let attempt = 0; ; attempt++) {
        const { status, text } = await once(method, url, body, await headersOf(method, url, body))
        // A token has an end, and 419 is its own code for that.
        if ((status === 401 || status === 419) && access.oauth && attempt === 0) {
          token = undefined
          continue
        }
        if (status === 401 || status === 403)
          throw refused(base, `it answered ${status}${reasonIn(parsed(text))}; check the login, and what it may do`)
        return { status, body: parsed(text) }
      }
    },
  }
}

function refused(base: string, what: string): MillraceError {
  return new MillraceError('user', 'catalog-refused', `${base}: ${what}.`)
}

export function away(at: string, status: number): MillraceError {
  return new MillraceError('retry', 'catalog-unavailable', `${at} answered ${status}.`)
}

function parsed(text: string): unknown {
  try {
    return parseExact(text)
  } catch {
    return undefined
  }
}

/** ': the message', of an error in the catalog's form. */
export function reasonIn(body: unknown): string {
  const { error } = (body ?? {}) as { readonly error?: { readonly message?: unknown } }
  return typeof error?.message === 'string' ? `: ${error.message.slice(0, 300)}` : ''
}

/** 'NoSuchNamespaceException', of an error in the catalog's form. */
export function errorTypeIn(body: unknown): string | undefined {
  const { error } = (body ?? {}) as { readonly error?: { readonly type?: unknown } }
  return typeof error?.type === 'string' ? error.type : undefined
}
