import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { drawn } from '../golden/drawn.ts'

const hours = 24
const killsMax = 6

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  await mkdir(join(folder, 'input'))
  await mkdir(join(folder, 'node_modules'))
  await symlink(join(root, 'node_modules/rxjs'), join(folder, 'node_modules/rxjs'))
  for (let hour = 0; hour < hours; hour++) {
    const at = new Date(Date.UTC(2024, 0, 1, hour)).toISOString()
    const lines = ['east', 'west', 'east'].map(zone => `${JSON.stringify({ at, zone })}\n`)
    await writeFile(join(folder, 'input', `${String(hour).padStart(2, '0')}.jsonl`), lines.join(''))
  }
  const guide = await readFile(join(root, 'docs/guides/rows-in-your-own-code.md'), 'utf8')
  const [, example = ''] = /```ts\n(import \{ DatabaseSync \}[\s\S]*?)```/.exec(guide) ?? []
  await writeFile(join(folder, 'pipeline.ts'), example)
})
afterEach(() => rm(folder, { recursive: true }))

async function headWrites(): Promise<number> {
  const names = await readdir(join(folder, 'checkpoint/head')).catch((): string[] => [])
  return Math.max(0, ...names.map(name => Number(/^HEAD@(\d+)@/.exec(name)?.[1] ?? 0)))
}

test('the pipeline of the guide has every row exactly once, however often it is killed', async () => {
  const { random, label } = drawn()
  let killed = 0
  for (;;) {
    const args = ['backfill', 'pipeline.ts', '--objects-per-epoch', '1', '--threads', '1']
    const child = startNode([join(root, 'src/cli/bin.ts'), ...args], folder)
    let isEnded = false
    void child.ended.then(() => (isEnded = true))
    const write = (await headWrites()) + 1 + Math.floor(random() * 4)
    while (killed < killsMax && !isEnded && (await headWrites()) < write) await setTimeout(2)
    if (killed < killsMax) {
      await setTimeout(random() * 20)
      child.kill('SIGKILL')
    }
    const { code, stderr } = await child.ended
    if (code === 0) break
    expect(code, stderr).toBeNull()
    killed++
  }
  const db = new DatabaseSync(join(folder, 'counts.db'))
  const found = db.prepare('SELECT * FROM counts ORDER BY start, zone').all()
  const epochs = db.prepare('SELECT count(*) AS n FROM taken').get()
  db.close()
  const expected = Array.from({ length: hours }, (_, hour) => {
    const start = new Date(Date.UTC(2024, 0, 1, hour)).toISOString()
    return [
      { start, zone: 'east', n: 2 },
      { start, zone: 'west', n: 1 },
    ]
  })
  expect(found, `${label}, killed ${killed} times`).toEqual(expected.flat())
  expect(Number(epochs?.n), label).toBeGreaterThan(hours / 2)
})
