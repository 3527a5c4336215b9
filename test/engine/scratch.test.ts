import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { openScratch } from '../../src/engine/duckdb/scratch.ts'
import { nodeBinary, root } from '../cli/child.ts'

let parent: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'millrace-scratches-'))
})
afterEach(() => rm(parent, { recursive: true, force: true }))

const script = (folder: string) =>
  `import { openScratch } from '${root}src/engine/duckdb/scratch.ts'
   console.log((await openScratch(${JSON.stringify(folder)})).path)
   process.stdin.resume()`

/** A process that holds a scratch folder until it is killed; undefined where it cannot be started. */
async function holder(before: readonly string[] = []) {
  const [command, ...args] = [...before, nodeBinary, '--input-type=module-typescript', '-e', script(parent)]
  const child = spawn(command as string, args, { cwd: root, stdio: ['pipe', 'pipe', 'ignore'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [said] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')]).catch(() => [])
  if (!(said instanceof Buffer)) return undefined
  return {
    name: basename(String(said).trim()),
    async kill() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
    },
  }
}

/** Opens and closes one: what is left of others. */
async function swept(): Promise<readonly string[]> {
  const scratch = await openScratch(parent)
  await scratch.close()
  return readdir(parent)
}

test('a folder is that of a live process until it ends, and goes with the next start after it was killed', async () => {
  const other = await holder()
  if (!other) throw new Error('node does not start')
  expect(await swept()).toEqual([other.name])
  await other.kill()
  expect(await swept()).toEqual([])
})

test('processes of one number and host name, as in containers that share a folder, leave it to each other', async context => {
  const inside = ['unshare', '-p', '-f', '--kill-child', '--mount-proc']
  const one = await holder(inside)
  const other = one && (await holder(inside))
  if (one === undefined || other === undefined) return context.skip('this machine lets nobody unshare')
  expect([one, other].map(({ name }) => name.split('.')[1])).toEqual(['1', '1'])
  expect(await swept()).toEqual([one.name, other.name].toSorted())
})

test('folders of one process, and of its threads, are left alone', async () => {
  const [one, other] = [await openScratch(parent), await openScratch(parent)]
  const worker = new Worker(
    `import(${JSON.stringify(`${root}src/engine/duckdb/scratch.ts`)}).then(async ({ openScratch }) => {
    await (await openScratch(${JSON.stringify(parent)})).close()
  })`,
    { eval: true },
  )
  expect(await once(worker, 'exit')).toEqual([0])
  expect(await readdir(parent)).toEqual([one, other].map(({ path }) => basename(path)).toSorted())
  await one.close()
  await other.close()
  expect(await readdir(parent)).toEqual([])
})

test('one whose process nobody here can ask about goes after a day of silence', async () => {
  const hour = 3_600
  const now = Date.now() / 1000
  const folder = async (name: string, hoursAgo: number, isInUse: boolean) => {
    const path = join(parent, name)
    await mkdir(path)
    if (isInUse) {
      await writeFile(join(path, 'in-use'), '.')
      await utimes(join(path, 'in-use'), now, now - hoursAgo * hour)
    } else await utimes(path, now, now - hoursAgo * hour)
  }
  // Of another host, of a boot before, and one that was killed before its first beat.
  await folder('millrace-elsewhere.7.1.aaaaaaaa.1.100.-aaaaaa', 25, true)
  await folder('millrace-elsewhere.7.1.aaaaaaaa.1.100.-bbbbbb', 23, true)
  await folder('millrace-elsewhere.7.1.aaaaaaaa.1.100.-cccccc', 25, false)
  await folder('millrace-elsewhere.7.1.aaaaaaaa.1.100.-dddddd', 23, false)
  // Of somebody else altogether.
  await folder('millrace-data', 1_000, false)
  expect(await swept()).toEqual([
    'millrace-data',
    'millrace-elsewhere.7.1.aaaaaaaa.1.100.-bbbbbb',
    'millrace-elsewhere.7.1.aaaaaaaa.1.100.-dddddd',
  ])
})

test('a live process shows that its folder is in use', async () => {
  const slept: number[] = []
  let wake = (): void => {}
  const clock = {
    startedAtMs: 1,
    nowMs: () => 0,
    sleep: (ms: number, signal?: AbortSignal) => {
      slept.push(ms)
      return new Promise<void>(resolve => {
        wake = resolve
        signal?.addEventListener('abort', () => resolve())
      })
    },
  }
  const scratch = await openScratch(parent, clock)
  const file = join(scratch.path, 'in-use')
  await rm(file)
  wake()
  await expect.poll(() => readdir(scratch.path)).toEqual(['in-use'])
  expect(slept[0]).toBeLessThan((24 * 3_600_000) / 100)
  await scratch.close()
  expect(await readdir(parent)).toEqual([])
})
