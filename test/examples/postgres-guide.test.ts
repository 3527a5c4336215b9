import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { root, runMillrace } from '../cli/child.ts'
import { serverFor } from '../servers/for-tests.ts'
import { psql, startPostgres } from '../servers/postgres.ts'

const password = 'open-sesame'
const server = await serverFor(() => startPostgres({ logins: ['host all anna 127.0.0.1/32 scram-sha-256'] }))

describe.skipIf(!server)('the guide of PostgreSQL', () => {
  if (!server) return
  let folder: string
  let guide: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
    guide = await readFile(join(root, 'docs/guides/postgres.md'), 'utf8')
    const [, example = ''] = /```ts\n(import [\s\S]*?)```/.exec(guide) ?? []
    const [first = '', second = ''] = [...guide.matchAll(/```json\n([\s\S]*?)```/g)].map(([, lines]) => lines)
    await mkdir(join(folder, 'input'))
    await writeFile(join(folder, 'pipeline.ts'), example)
    await writeFile(join(folder, 'input/a.jsonl'), first)
    await writeFile(join(folder, 'input/b.jsonl'), second)
    await psql(server, 'DROP DATABASE IF EXISTS other')
    await psql(server, `DROP SCHEMA IF EXISTS anna CASCADE; DROP ROLE IF EXISTS anna`)
    await psql(server, `CREATE ROLE anna LOGIN PASSWORD '${password}'; CREATE SCHEMA anna AUTHORIZATION anna`)
  })
  afterEach(() => rm(folder, { recursive: true }))

  const url = server.endpoint.replace('millrace@', `anna:${password}@`)
  const millrace = (...args: readonly string[]) => runMillrace(args, folder, { PG: url })

  test('shows what its pipeline gives, and who logs in is told nowhere', async () => {
    const said: string[] = []
    const done = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await millrace(...args)
      said.push(stdout, stderr)
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr })
      return stdout
    }
    expect(await done('doctor', 'pipeline.ts')).toContain('/today can take the results')
    const [, given = ''] = /PG=\S+ npx millrace (backfill .*)/.exec(guide) ?? []
    expect(await done(...given.split(' '))).toContain(`postgres://127.0.0.1`)
    const [, shown = ''] = /```text\n([\s\S]*?)```/.exec(guide) ?? []
    const rows = await psql(server, 'SELECT shop, sales, cents FROM anna.today ORDER BY shop')
    expect(rows.split('\n')).toEqual(
      shown
        .trimEnd()
        .split('\n')
        .slice(2)
        .map(line => line.replaceAll(' ', '')),
    )
    expect(await done('backfill', 'pipeline.ts')).toContain('nothing to do')
    for (const args of [
      ['explain', 'pipeline.ts'],
      ['inspect', 'checkpoint'],
      ['verify', 'pipeline.ts'],
      ['doctor', 'pipeline.ts'],
      ['run', 'pipeline.ts', '--until-idle', '--log', 'json'],
    ])
      await done(...args)
    const names = await readdir(join(folder, 'checkpoint'), { recursive: true, withFileTypes: true })
    for (const file of names.filter(entry => entry.isFile()))
      said.push(await readFile(join(file.parentPath, file.name), 'latin1'))
    expect(said.filter(text => text.includes('postgres://127.0.0.1')).length).toBeGreaterThan(2)
    expect(said.filter(text => text.includes(password) || text.includes('anna'))).toEqual([])
  })

  test('its table goes to another database, whose login is told nowhere either', async () => {
    await psql(server, 'CREATE DATABASE other')
    const other = { endpoint: server.endpoint.replace(/postgres$/, 'other') }
    await psql(other, 'CREATE SCHEMA anna AUTHORIZATION anna')
    const to = url.replace(/postgres$/, 'other')
    const { code, stdout, stderr } = await millrace('backfill', 'pipeline.ts', '--output', to)
    expect(code, stderr).toBe(0)
    expect(await psql(other, 'SELECT count(*) FROM anna.today')).toBe('2')
    expect(stdout).toContain('/other/today')
    const said = [stdout, stderr]
    for (const wrong of [
      ['--output', `flow-9=${to}`],
      ['--output', to, '--output', `flow-1=${to}`],
      ['--output', `${to}?pool=2`],
    ]) {
      const refused = await millrace('backfill', 'pipeline.ts', '--checkpoint', 'new', ...wrong)
      expect(refused.code).toBe(2)
      said.push(refused.stdout, refused.stderr)
    }
    expect(said.filter(text => text.includes(password) || text.includes('anna:'))).toEqual([])
  })

  test('a wrong password, and one that is missing, end the run with what to look at, and without the password', async () => {
    for (const wrong of ['wrong-word', '']) {
      const { code, stderr } = await runMillrace(['backfill', 'pipeline.ts'], folder, {
        PG: url.replace(password, wrong),
        PGPASSFILE: '/dev/null',
      })
      expect(code).toBe(2)
      expect(stderr).toMatch(/postgres:\/\/127[.]0[.]0[.]1:\d+\/postgres: .*password.*Look at the url of postgres/)
      expect(stderr).not.toContain('wrong-word')
    }
  })
})
