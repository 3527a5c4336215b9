import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const fixtures = join(import.meta.dirname, 'fixtures')

interface Ending {
  readonly status: number | null
  readonly lines: readonly string[]
}

/** Runs vitest on the fixtures that match, as a new user has it, and tells how it ended. */
async function run(
  args: readonly string[],
  until?: { readonly says: string; readonly signal: 'SIGTERM' },
): Promise<Ending> {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const env = { ...process.env, CI: undefined, VITEST: undefined, NODE_OPTIONS: undefined }
  const child = spawn(process.execPath, [vitest, 'run', '--root', fixtures, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  if (until) child.stdout.on('data', data => String(data).includes(until.says) && child.kill(until.signal))
  const [said, [status]] = await Promise.all([text(child.stdout), once(child, 'close')])
  return { status: status as number | null, lines: said.trimEnd().split('\n') }
}

test.each([
  ['a test that fails, a hook before all; to do is skipped', 'mixed', '1 passed, 2 failed, 3 skipped'],
  ['hooks before each, after each, after all, and at the end of a test', 'hooks', '1 passed, 4 failed, 0 skipped'],
  ['a hook of a file whose tests were all skipped', 'late-hook', '0 passed, 1 failed, 1 skipped'],
  ['a test that never ends', 'unended', '1 passed, 1 failed, 0 skipped'],
  ['a file that does not load', 'unloadable', '0 passed, 1 failed, 0 skipped'],
  ['an error outside every test', 'outside', '1 passed, 1 failed, 0 skipped'],
  ['a rejection that nobody handles', 'rejection', '1 passed, 1 failed, 0 skipped'],
  // The death, the test that it interrupted and the one that never began.
  ['a worker that is killed', 'killed', '0 passed, 3 failed, 0 skipped'],
  ['a test that ends its process with 0', 'exits', '0 passed, 1 failed, 0 skipped'],
  ['no file that matches', 'no-such-file', '0 passed, 1 failed, 0 skipped'],
])('what does not pass is counted as failed, and the exit code says so: %s', async (_, filter, closing) => {
  const { status, lines } = await run([filter])
  expect({ status, closing: lines.at(-1) }).toEqual({ status: 1, closing })
})

test('a global teardown that fails after the tests have passed', async () => {
  const { status, lines } = await run(['--config', join(fixtures, 'teardown.config.ts'), 'one-passes'])
  expect({ status, closing: lines.at(-1) }).toEqual({ status: 1, closing: '1 passed, 1 failed, 0 skipped' })
})

test('a run that is ended from outside has failed', async () => {
  const { status, lines } = await run(['hangs'], { says: 'running', signal: 'SIGTERM' })
  expect({ status, closing: lines.at(-1) }).toEqual({ status: 143, closing: '0 passed, 1 failed, 0 skipped' })
})

test('skipped tests are told with the reason, also in a suite that is skipped inside a skipped one', async () => {
  const { status, lines } = await run(['skipped'])
  expect(status).toBe(0)
  expect(lines.slice(lines.indexOf('Skipped:'))).toEqual([
    'Skipped:',
    '  3 there is no server',
    '  1 this machine lets nobody unshare',
    '  1 to do',
    '',
    '1 passed, 0 failed, 5 skipped',
  ])
})
