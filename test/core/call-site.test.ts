import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { callSite, callSiteIn, showCallSite } from '../../src/core/call-site.ts'
import { errorMessage, MillraceError, withCallSite } from '../../src/core/errors.ts'

const root = join(import.meta.dirname, '../..')
const own = (path: string) => pathToFileURL(join(root, path)).href

test.each([
  [
    'the first frame outside millrace',
    [
      `at step (${own('src/plan/batches.ts')}:50:14)`,
      `at where (${own('operators/where.ts')}:35:10)`,
      'at file:///home/me/p.ts:12:5',
    ],
    { file: '/home/me/p.ts', line: 12, column: 5 },
  ],
  [
    'a function of a helper file, with a space in its path and a name of its own',
    [
      `at files (${own('connectors/files/spec.ts')}:20:3)`,
      'at Object.toLake [as out] (file:///home/my%20files%20(1)/q.ts:3:44)',
    ],
    { file: '/home/my files (1)/q.ts', line: 3, column: 44 },
  ],
  [
    'a plain path',
    [`at where (${own('operators/where.ts')}:35:10)`, 'at Object.<anonymous> (/srv/p.js:1:2)'],
    { file: '/srv/p.js', line: 1, column: 2 },
  ],
  ['a module loaded anew', ['at async file:///srv/p.ts?t=17:1:2'], { file: '/srv/p.ts', line: 1, column: 2 }],
  ['nothing of Node itself', ['at node:internal/modules/esm/loader:1:2', 'at new Promise (<anonymous>)'], undefined],
  [
    'an example of this repository',
    [`at ${own('examples/hourly-zones.ts')}:5:6`],
    { file: join(root, 'examples/hourly-zones.ts'), line: 5, column: 6 },
  ],
])('a call site is %s', (_, frames, site) => {
  expect(callSiteIn(['MillraceError: where: no', ...frames.map(frame => `    ${frame}`)].join('\n'))).toEqual(site)
})

test('a stack that is none has no call site', () => {
  expect([callSiteIn(undefined), callSiteIn(''), callSiteIn([])]).toEqual([undefined, undefined, undefined])
})

test('this file is the user of what it calls', () => {
  expect(callSite()?.file).toBe(import.meta.filename)
})

test('a mistake of the user has its place in front; it is placed once, and keeps code, cause and stack', () => {
  const site = { file: join(process.cwd(), 'p.ts'), line: 3, column: 4 }
  const cause = new Error('why')
  const error = new MillraceError('user', 'expression', 'where: no', cause)
  const placed = withCallSite(error, site)
  expect(placed).toMatchObject({
    kind: 'user',
    code: 'expression',
    message: 'where: no',
    cause,
    at: site,
    stack: error.stack,
  })
  expect(errorMessage(placed)).toBe('p.ts:3:4: where: no')
  expect(withCallSite(placed, { ...site, line: 9 })).toBe(placed)
  expect(showCallSite({ ...site, file: '/elsewhere/p.ts' })).toBe('/elsewhere/p.ts:3:4')
})

test('what is no mistake of the user has no place', () => {
  const error = new MillraceError('fatal', 'bad-row', 'object a')
  expect(withCallSite(error, { file: '/p.ts', line: 1, column: 1 })).toBe(error)
  expect(withCallSite(cause, { file: '/p.ts', line: 1, column: 1 })).toBe(cause)
})

const cause = new Error('of something else')
