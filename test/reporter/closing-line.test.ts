import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

/** Runs vitest on the fixtures that match and returns how it ended. */
function run(filter: string): { status: number | null; lastLine: string | undefined } {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const fixtures = join(import.meta.dirname, 'fixtures')
  const { status, stdout } = spawnSync(process.execPath, [vitest, 'run', '--root', fixtures, filter], {
    encoding: 'utf8',
    env: { ...process.env, VITEST: undefined, NODE_OPTIONS: undefined },
  })
  return { status, lastLine: stdout.trimEnd().split('\n').at(-1) }
}

test('the closing line counts a failed test and a suite whose hook threw as failed, todo as skipped', () => {
  expect(run('mixed')).toEqual({ status: 1, lastLine: '1 passed, 2 failed, 3 skipped' })
})

test('a file that does not load counts as failed', () => {
  expect(run('unloadable')).toEqual({ status: 1, lastLine: '0 passed, 1 failed, 0 skipped' })
})

test('an error outside every test counts as failed', () => {
  expect(run('outside')).toEqual({ status: 1, lastLine: '1 passed, 1 failed, 0 skipped' })
})

test('a run without a matching file still ends in a closing line, and fails', () => {
  expect(run('no-such-file')).toEqual({ status: 1, lastLine: '0 passed, 0 failed, 0 skipped' })
})
