import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { isOwnerGone, ownerName, type Processes } from '../../src/core/owner.ts'
import { nodeBinary, root, startScript } from '../cli/child.ts'

interface Owner {
  readonly host?: string
  readonly pid?: number
  readonly startedAtMs?: number
  readonly boot?: string
  readonly pids?: string
  readonly ticks?: number | ''
  readonly container?: string
}
const name = ({ host = 'h', pid = 7, startedAtMs = 1, boot = 'b', pids = '1', ticks = 100, container = '' }: Owner) =>
  [host, pid, startedAtMs, boot, pids, ticks, container].join('/')

/** Process numbers with their start; all others have ended. */
const living = (ticks: Readonly<Record<number, string>>): Processes => ({
  isAlive: pid => ticks[pid] !== undefined,
  startTicks: pid => ticks[pid] ?? '',
})
const isGone = (other: Owner, mine: Owner, ticks: Readonly<Record<number, string>> = {}) =>
  isOwnerGone(name(other), name(mine), living(ticks))

describe('whether the owner that HEAD names has ended (P5)', () => {
  test('by its process, where its process numbers are ours', () => {
    const mine = { pid: 8, ticks: 200 }
    expect(isGone({}, mine, { 7: '100' })).toBe(false)
    expect(isGone({}, mine)).toBe(true)
    // Another process has its number, or this one has.
    expect(isGone({}, mine, { 7: '150' })).toBe(true)
    expect(isGone({}, { pid: 7, ticks: 200 }, { 7: '200' })).toBe(true)
    // Hidden, as another user's.
    expect(isGone({}, mine, { 7: '' })).toBe(false)
  })

  test.each([
    ['two containers of one host name', { pids: '1', container: 'x' }, { pids: '2', container: 'y' }],
    ['two containers whose layer is not known', { pids: '1' }, { pids: '2' }],
    ['two machines of one host name', { boot: 'a' }, { boot: 'b' }],
    ['two host names', { host: 'a' }, { host: 'b' }],
  ])('neither of %s judges the other, whatever process has that number', (_, one, other) => {
    for (const [a, b] of [
      [one, other],
      [other, one],
    ] as const)
      for (const pid of [1, 7])
        for (const processes of [{}, { [pid]: '100' }, { [pid]: '200' }])
          expect(isGone({ ...a, pid }, { ...b, pid, ticks: 200 }, processes)).toBe(false)
  })

  test('a container that was started again is not kept waiting by its former processes', () => {
    const [before, now] = [
      { pid: 1, pids: '1', container: 'x' },
      { pid: 1, pids: '2', container: 'x', ticks: 200 },
    ]
    expect(isGone(before, now, { 1: '200' })).toBe(true)
    // Behind a process 1 of its own, such as tini or npx.
    for (const pid of [7, 8]) expect(isGone({ ...before, pid: 7 }, { ...now, pid }, { [pid]: '200' })).toBe(true)
  })

  test('by host name and process alone, where the kernel tells no more', () => {
    const [owner, mine] = ['h/7/1/////', 'h/8/2/////']
    expect(isOwnerGone(owner, mine, living({ 7: '' }))).toBe(false)
    expect(isOwnerGone(owner, mine, living({}))).toBe(true)
  })
})

test('a process names itself the same again, and knows another one as living until it has ended (P5)', async () => {
  const mine = ownerName(systemClock)
  expect(ownerName(systemClock)).toBe(mine)
  expect(isOwnerGone(mine, mine)).toBe(true)
  const child = startScript(
    "import { systemClock } from 'src:core/clock.ts'; import { ownerName } from 'src:core/owner.ts'; console.log(ownerName(systemClock) + ' END'); setInterval(() => {}, 1000)",
  )
  await child.says(' END')
  const other = child.output().stdout.replace(/ END\n/, '')
  expect(isOwnerGone(other, mine)).toBe(false)
  child.kill('SIGKILL')
  await child.ended
  expect(isOwnerGone(other, mine)).toBe(true)
})

test('two processes of one number and one host name, as in two containers, leave each other alone', async context => {
  // Namespaces of one's own need privileges on most machines.
  const script =
    "import { systemClock } from './src/core/clock.ts'; import { ownerName } from './src/core/owner.ts'; console.log(ownerName(systemClock)); process.stdin.resume()"
  const inside = async () => {
    const args = [
      '-p',
      '-f',
      '--kill-child',
      '--mount-proc',
      nodeBinary,
      '--input-type=module-typescript',
      '-e',
      script,
    ]
    const child = spawn('unshare', args, { cwd: root, stdio: ['pipe', 'pipe', 'ignore'] })
    // Rejected where there is no such program.
    const [said] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')]).catch(() => [])
    return { child, name: said instanceof Buffer ? String(said).trim() : undefined }
  }
  const [one, other] = await Promise.all([inside(), inside()])
  try {
    if (one.name === undefined || other.name === undefined) return context.skip('this machine lets nobody unshare')
    expect([one.name.split('/')[1], other.name.split('/')[1]]).toEqual(['1', '1'])
    // Where the tests run in a container themselves, both name that one.
    const [a, b] = [one.name, other.name].map(name => name.replace(/[^/]*$/, '')) as [string, string]
    expect(isOwnerGone(a, b)).toBe(false)
    expect(isOwnerGone(b, a)).toBe(false)
  } finally {
    for (const { child } of [one, other]) child.kill('SIGKILL')
  }
})
