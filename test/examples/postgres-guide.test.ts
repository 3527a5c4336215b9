import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runMillrace } from '../cli/child.ts'
import { serverFor } from '../servers/for-tests.ts'
import { psql, startPostgres } from '../servers/postgres.ts'
import { type GuideFolder, openGuideFolder } from './guide-folder.ts'

const password = 'open-sesame'
const server = await serverFor(() => startPostgres({ logins: ['host all anna 127.0.0.1/32 scram-sha-256'] }))

describe.skipIf(!server)('the guide of PostgreSQL', () => {
  if (!server) return
  let reader: GuideFolder
  const said: string[] = []
  const url = server.endpoint.replace('millrace@', `anna:${password}@`)
  beforeEach(async () => {
    said.length = 0
    reader = await openGuideFolder('postgres', { PG: url }, said)
    await psql(server, 'DROP DATABASE IF EXISTS other')
    await psql(server, `DROP SCHEMA IF EXISTS anna CASCADE; DROP ROLE IF EXISTS anna`)
    await psql(server, `CREATE ROLE anna LOGIN PASSWORD '${password}'; CREATE SCHEMA anna AUTHORIZATION anna`)
  })
  afterEach(() => reader[Symbol.asyncDispose]())

  test('shows what its pipeline gives, and who logs in is told nowhere', async () => {
    const { folder, blocks, done, backfill } = reader
    expect(await done('doctor', 'pipeline.ts')).toContain('/today can take the results')
    expect(await done(...backfill)).toContain(`postgres://127.0.0.1`)
    const [shown = ''] = blocks('text')
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

  const millrace = (...args: readonly string[]) => runMillrace(args, reader.folder, { PG: url })

  test('its table goes to another database, whose login is told nowhere either', async () => {
    await psql(server, 'CREATE DATABASE other')
    const other = { endpoint: server.endpoint.replace(/postgres$/, 'other') }
    await psql(other, 'CREATE SCHEMA anna AUTHORIZATION anna')
    const to = url.replace(/postgres$/, 'other')
    const { code, stdout, stderr } = await millrace('backfill', 'pipeline.ts', '--output', to)
    expect(code, stderr).toBe(0)
    expect(await psql(other, 'SELECT count(*) FROM anna.today')).toBe('2')
    expect(stdout).toContain('/other/today')
    const told = [stdout, stderr]
    for (const wrong of [
      ['--output', `flow-9=${to}`],
      ['--output', to, '--output', `flow-1=${to}`],
      ['--output', `${to}?pool=2`],
    ]) {
      const refused = await millrace('backfill', 'pipeline.ts', '--checkpoint', 'new', ...wrong)
      expect(refused.code).toBe(2)
      told.push(refused.stdout, refused.stderr)
    }
    expect(told.filter(text => text.includes(password) || text.includes('anna:'))).toEqual([])
  })

  test('a wrong password, and one that is missing, end the run with what to look at, and without the password', async () => {
    for (const wrong of ['wrong-word', '']) {
      const { code, stderr } = await runMillrace(['backfill', 'pipeline.ts'], reader.folder, {
        PG: url.replace(password, wrong),
        PGPASSFILE: '/dev/null',
      })
      expect(code).toBe(2)
      expect(stderr).toMatch(/postgres:\/\/127[.]0[.]0[.]1:\d+\/postgres: .*password.*Look at the url of postgres/)
      expect(stderr).not.toContain('wrong-word')
    }
  })
})
