import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIPv4 } from 'node:net'

/** Why a request is not answered. */
export interface Refusal {
  readonly status: 401 | 403
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The environment variable that holds the token of the page. */
export const tokenVariable = 'MILLRACE_HTTP_TOKEN'

/**
 * Who may see the page: with a token whoever shows it, by `Authorization: Bearer` or as the password that a browser
 * asks for; without one everybody on this machine, and nobody beyond it.
 *
 * @param host where the server listens
 */
export function createAccess(
  host: string,
  token: string | undefined,
): (request: Pick<IncomingMessage, 'headers'>) => Refusal | undefined {
  if (token === undefined) return () => (isLoopback(host) ? undefined : withoutToken)
  return ({ headers }) => (isEqual(shownToken(headers.authorization), token) ? undefined : unauthorized)
}

/** Whether only this machine reaches what listens there. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

const withoutToken: Refusal = {
  status: 403,
  headers: {},
  body:
    `The page is shown beyond this machine only to who has a token: start the run with ${tokenVariable} set in its ` +
    'environment, and give that as the password. /metrics, /healthz, /readyz and the JSON of / need none.\n',
}

const unauthorized: Refusal = {
  status: 401,
  headers: { 'www-authenticate': 'Basic realm="millrace", charset="UTF-8"' },
  body: `The page needs the token of this run (${tokenVariable}), as the password of any user.\n`,
}

function shownToken(authorization = ''): string {
  const [, scheme = '', value = ''] = /^(\S+) +(\S+)$/.exec(authorization) ?? []
  if (scheme.toLowerCase() === 'bearer') return value
  if (scheme.toLowerCase() !== 'basic') return ''
  const pair = Buffer.from(value, 'base64').toString()
  return pair.slice(pair.indexOf(':') + 1)
}

/** In a time that tells nothing of where they differ. */
function isEqual(shown: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(shown), digest(token))
}
