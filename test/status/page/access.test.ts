import { expect, test } from 'vitest'
import { createAccess } from '../../../src/status/page/access.ts'

const basic = (pair: string) => ({ headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } })
const token = 'a secret: of some length'

test.each(['127.0.0.1', '127.8.0.1', 'localhost', '::1'])('at %s everybody sees the page', host => {
  expect(createAccess(host, undefined)({ headers: {} })).toBeUndefined()
})

test.each(['0.0.0.0', '::', '10.0.0.1', '127.evil.example', 'millrace.internal'])(
  'at %s nobody does without a token of the run, whatever is shown',
  host => {
    for (const asked of [{ headers: {} }, basic('any:'), { headers: { authorization: 'Bearer undefined' } }])
      expect(createAccess(host, undefined)(asked)).toMatchObject({
        status: 403,
        body: expect.stringContaining('MILLRACE_HTTP_TOKEN'),
      })
  },
)

test('where there is a token it is asked for, on this machine too', () => {
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const access = createAccess(host, token)
    expect(access(basic(`any:${token}`))).toBeUndefined()
    expect(
      access({ headers: { authorization: `bearer ${Buffer.from(token).toString('latin1').replaceAll(' ', '')}` } }),
    ).toMatchObject({ status: 401 })
    for (const asked of [
      { headers: {} },
      basic(`${token}:`),
      basic(`any:${token}x`),
      basic('any:'),
      { headers: { authorization: token } },
    ])
      expect(access(asked)).toMatchObject({
        status: 401,
        headers: { 'www-authenticate': expect.stringContaining('Basic') },
      })
  }
})
