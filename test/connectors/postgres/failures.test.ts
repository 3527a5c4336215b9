import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresOptions } from '../../../connectors/postgres/spec.ts'
import type { SinkPort } from '../../../src/core/sink-port.ts'
import type { Calls } from '../../contracts/sink.ts'
import { drawn } from '../../golden/drawn.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { psql, startPostgres } from '../../servers/postgres.ts'
import { newSchema, openSink, openWriter, publish, sinkOf, type Writer } from './fixtures.ts'

const run = promisify(execFile)
const certificates = await mkdtemp(join(tmpdir(), 'millrace-certificates-'))
afterAll(() => rm(certificates, { recursive: true }))

/** A certificate of its own for 127.0.0.1, and a key that the server's user may read alone. */
async function makeCertificate(data: string): Promise<void> {
  const [key, certificate] = [join(certificates, 'server.key'), join(certificates, 'server.crt')]
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await run('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', certificate])
  for (const file of [key, certificate]) {
    const to = join(data, file === key ? 'server.key' : 'server.crt')
    await run('cp', [file, to])
    await run('chown', ['--reference', data, to])
    await run('chmod', ['600', to])
  }
}

const server = await serverFor(() => startPostgres({ settings: ['ssl=on'], prepare: makeCertificate }))

describe.skipIf(!server)('PostgreSQL', () => {
  if (!server) return
  let writer: Writer
  let files: readonly string[]
  const epochs = 6
  const rowsEach = 400
  beforeAll(async () => {
    writer = await openWriter()
    const sink = sinkOf(server, 's')
    files = await Promise.all(
      Array.from({ length: epochs }, (_, i) =>
        writer.write(
          sink,
          columns,
          `SELECT ${i + 1}::BIGINT AS epoch, i AS n, repeat('x', 200) AS filler FROM range(${rowsEach}) AS r(i)`,
        ),
      ),
    )
  })
  afterAll(() => writer.close())

  const columns = { epoch: 'BIGINT NOT NULL', n: 'BIGINT NOT NULL', filler: 'VARCHAR' }
  const fileOf = (epoch: number) => files[epoch - 1] as string

  async function newPort(more: Partial<PostgresOptions> = {}, calls?: Calls) {
    const schema = await newSchema(server as never)
    const sink = sinkOf(server as never, schema, more)
    const port = await openSink(sink, { columns, ...(calls && { calls }) })
    await port.own(true, 1)
    return { schema, sink, port }
  }

  const epochsIn = async (schema: string) =>
    (
      await psql(
        server as never,
        `SELECT epoch, count(*), count(DISTINCT n) FROM ${schema}.results GROUP BY epoch ORDER BY epoch`,
      )
    )
      .split('\n')
      .filter(line => line !== '')
  const whole = (...all: readonly number[]) => all.map(epoch => `${epoch}|${rowsEach}|${rowsEach}`)
  const every = Array.from({ length: epochs }, (_, i) => i + 1)

  /** As the engine does: again where it failed for a while. */
  async function untilTaken(port: SinkPort, epoch: number, term = 1): Promise<void> {
    for (;;) {
      const error = await publish(port, epoch, fileOf(epoch), term).then(
        () => undefined,
        (found: { readonly kind?: string }) => found,
      )
      if (error === undefined) return
      expect(error).toMatchObject({ kind: 'retry' })
    }
  }

  test('an owner and those who believe to be it publish at once, and each row is there once', async () => {
    const { random } = drawn()
    const { schema, sink } = await newPort()
    const ports = await Promise.all([0, 1, 2].map(() => openSink(sink, { columns })))
    for (const epoch of every) {
      const attempts = ports.flatMap(port => [
        publish(port, epoch, fileOf(epoch)),
        ...(epoch > 1 && random() < 0.5 ? [publish(port, epoch - 1, fileOf(epoch - 1))] : []),
      ])
      const answers = (await Promise.all(attempts)).filter(answer => answer === 'published')
      expect(answers).toHaveLength(1)
    }
    expect(await epochsIn(schema)).toEqual(whole(...every))
  })

  test('a later owner waits for what an earlier one has begun, which may still come to its end, and nothing after it (I3)', async () => {
    const schema = await newSchema(server)
    const sink = sinkOf(server, schema)
    // The older one is held before its COMMIT.
    let count = 0
    const [reached, goOn] = [gate(), gate()]
    let holdAt = Number.POSITIVE_INFINITY
    const older = await openSink(sink, {
      columns,
      calls: async call => {
        if (++count === holdAt) {
          reached.open()
          await goOn.opened
        }
        return call()
      },
    })
    await older.own(true, 1)
    count = 0
    // connect, begin, look, token, copy, commit
    holdAt = 6
    const first = publish(older, 1, fileOf(1))
    await reached.opened
    const newer = await openSink(sink, { columns })
    let hasOwned = false
    const owning = newer.own(false, 2).then(() => (hasOwned = true))
    await expect.poll(() => psql(server, 'SELECT count(*) FROM pg_locks WHERE NOT granted')).not.toBe('0')
    expect(hasOwned).toBe(false)
    goOn.open()
    expect(await first).toBe('published')
    await owning
    expect(await newer.through(0)).toBe(1)
    expect(await publish(newer, 1, fileOf(1), 2)).toBe('already')
    await expect(publish(older, 2, fileOf(2))).rejects.toMatchObject({ kind: 'fenced' })
    expect(await publish(newer, 2, fileOf(2), 2)).toBe('published')
    expect(await epochsIn(schema)).toEqual(whole(1, 2))
  })

  test('killed at any moment of a publication and started again: it is away, and then each row is there once', async () => {
    const own = await startPostgres()
    try {
      const schema = await newSchema(own)
      const sink = sinkOf(own, schema)
      let killBefore = Number.POSITIVE_INFINITY
      let killDuring = Number.POSITIVE_INFINITY
      let count = 0
      const port = await openSink(sink, {
        columns,
        calls: async call => {
          const number = ++count
          if (number === killBefore) await own.kill()
          const answer = call()
          if (number === killDuring) {
            answer.catch(() => {})
            await own.kill()
          }
          return answer
        },
      })
      await port.own(true, 1)
      let epoch = 0
      for (const [before, during] of [
        [1, 0],
        [4, 0],
        [5, 0],
        [6, 0],
        [0, 5],
        [0, 6],
      ] as const) {
        epoch++
        count = 0
        killBefore = before
        killDuring = during
        await publish(port, epoch, fileOf(epoch)).catch((error: unknown) =>
          expect(error).toMatchObject({ kind: 'retry' }),
        )
        killBefore = killDuring = Number.POSITIVE_INFINITY
        await expect(publish(port, epoch, fileOf(epoch))).rejects.toMatchObject({
          kind: 'retry',
          code: 'postgres-away',
        })
        await own.restart()
        await untilTaken(port, epoch)
        const found = await psql(
          own,
          `SELECT epoch, count(*), count(DISTINCT n) FROM ${schema}.results GROUP BY epoch ORDER BY epoch`,
        )
        expect(found.split('\n')).toEqual(whole(...every.slice(0, epoch)))
      }
    } finally {
      await own.stop()
    }
  })

  test('commits, and its answer is lost: the next try finds the rows there', async () => {
    const proxy = await startCutting(server.endpoint, 'COMMIT\0')
    try {
      const { schema, sink, port } = await newPort()
      await publish(port, 1, fileOf(1))
      const through = await openSink({ ...sink, ...sinkOf({ endpoint: proxy.endpoint } as never, schema) }, { columns })
      await expect(publish(through, 2, fileOf(2))).rejects.toMatchObject({ kind: 'retry' })
      expect(proxy.cuts()).toBe(1)
      expect(await publish(port, 2, fileOf(2))).toBe('already')
      expect(await epochsIn(schema)).toEqual(whole(1, 2))
    } finally {
      await proxy.close()
    }
  })

  test('takes a permission away: that ends the run, and with it back nothing is lost', async () => {
    await psql(server, 'CREATE ROLE bob LOGIN')
    const schema = await newSchema(server)
    await psql(server, `GRANT USAGE ON SCHEMA ${schema} TO bob`)
    const sink = sinkOf(server, schema, { url: server.endpoint.replace('millrace@', 'bob@') })
    const port = await openSink(sink, { columns })
    for (const act of [() => port.check(true), () => port.own(true, 1)])
      await expect(act()).rejects.toMatchObject({
        kind: 'user',
        code: 'output-denied',
        message: expect.stringContaining(`GRANT CREATE ON SCHEMA "${schema}" TO "bob"`),
      })
    await psql(server, `GRANT CREATE ON SCHEMA ${schema} TO bob`)
    await port.own(true, 1)
    await publish(port, 1, fileOf(1))
    await psql(server, `REVOKE INSERT ON ${schema}.results FROM bob`)
    await expect(publish(port, 2, fileOf(2))).rejects.toMatchObject({
      kind: 'user',
      message: expect.stringMatching(
        /permission denied for table results \(SQLSTATE 42501\).* Grant it, and start again/,
      ),
    })
    await expect(port.check(false)).rejects.toMatchObject({
      code: 'output-denied',
      message: expect.stringContaining(`GRANT INSERT ON "${schema}"."results" TO "bob"`),
    })
    await psql(server, `GRANT INSERT ON ${schema}.results TO bob`)
    await publish(port, 2, fileOf(2))
    expect(await epochsIn(schema)).toEqual(whole(1, 2))
  })

  test('loses the table, or its row of millrace_commits: both are missed', async () => {
    const { schema, port } = await newPort()
    await publish(port, 1, fileOf(1))
    await psql(server, `DROP TABLE ${schema}.results`)
    await expect(publish(port, 2, fileOf(2))).rejects.toMatchObject({
      kind: 'user',
      message: expect.stringContaining('relation'),
    })
    for (const act of [() => port.check(false), () => port.own(false, 2)])
      await expect(act()).rejects.toMatchObject({
        code: 'output-missing',
        message: expect.stringContaining('the table is gone'),
      })
    const other = await newPort()
    await psql(server, `DELETE FROM ${other.schema}.millrace_commits`)
    for (const act of [() => publish(other.port, 1, fileOf(1)), () => other.port.own(false, 2)])
      await expect(act()).rejects.toMatchObject({ code: 'output-missing' })
    expect(await epochsIn(other.schema)).toEqual([])
  })

  test('has no room on its disk: it is away until there is some', async context => {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-disk-'))
    const [uid, gid] = (
      await run('stat', ['-c', '%u %g', '/var/lib/postgresql']).catch(() => ({ stdout: '0 0' }))
    ).stdout
      .trim()
      .split(' ')
    const mounted = await run('mount', [
      '-t',
      'tmpfs',
      '-o',
      `size=1m,uid=${uid},gid=${gid},mode=700`,
      'tmpfs',
      folder,
    ]).catch(() => undefined)
    if (!mounted) return context.skip('this machine lets nobody mount')
    try {
      const { schema, port } = await newPort()
      await psql(server, `CREATE TABLESPACE small LOCATION '${folder}'`)
      await psql(server, `ALTER TABLE ${schema}.results SET TABLESPACE small`)
      for (let epoch = 1; epoch <= epochs; epoch++) {
        const failed = await publish(port, epoch, fileOf(epoch)).then(
          () => false,
          (error: unknown) => {
            expect(error).toMatchObject({ kind: 'retry', message: expect.stringContaining('No space left on device') })
            return true
          },
        )
        expect(await epochsIn(schema)).toEqual(whole(...every.slice(0, failed ? epoch - 1 : epoch)))
        if (failed) await run('mount', ['-o', 'remount,size=64m', folder])
        if (failed) await publish(port, epoch, fileOf(epoch))
        if (epoch === epochs) expect(await epochsIn(schema)).toEqual(whole(...every))
      }
      await psql(server, `DROP TABLE ${schema}.results`)
      await psql(server, 'DROP TABLESPACE small')
    } finally {
      await run('umount', [folder])
      await rm(folder, { recursive: true })
    }
  })

  test('is kept waiting by a lock of another session: a statement ends at its time-out, and is tried again', async () => {
    const { schema, port } = await newPort({ statementTimeout: '1s' })
    const locking = psql(server, `BEGIN; LOCK TABLE ${schema}.results; SELECT pg_sleep(3)`)
    await expect
      .poll(() =>
        psql(server, `SELECT count(*) FROM pg_locks WHERE relation = '${schema}.results'::regclass AND granted`),
      )
      .toBe('1')
    await expect(publish(port, 1, fileOf(1))).rejects.toMatchObject({
      kind: 'retry',
      message: expect.stringContaining('SQLSTATE 57014'),
    })
    await locking
    await publish(port, 1, fileOf(1))
    expect(await epochsIn(schema)).toEqual(whole(1))
  })

  test('gives no further connection: it is away; and between epochs there is none of ours', async () => {
    const { schema, port } = await newPort()
    await publish(port, 1, fileOf(1))
    const ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'millrace'"
    await expect.poll(() => psql(server, ours)).toBe('0')
    await psql(server, 'CREATE ROLE few LOGIN CONNECTION LIMIT 0')
    const refused = await openSink(sinkOf(server, schema, { url: server.endpoint.replace('millrace@', 'few@') }), {
      columns,
    })
    await expect(publish(refused, 2, fileOf(2))).rejects.toMatchObject({
      kind: 'retry',
      message: expect.stringContaining('SQLSTATE 53300'),
    })
  })

  test('is stopped while it publishes: the transaction is broken off and leaves nothing', async () => {
    const stopping = new AbortController()
    const reason = new Error('stopped')
    let [count, stopAt] = [0, Number.POSITIVE_INFINITY]
    const { schema, port } = await newPort({}, async call => {
      const answer = call()
      // The COPY of the second transaction is under way.
      if (++count === stopAt) stopping.abort(reason)
      return answer
    })
    count = 0
    stopAt = 5
    const rows = () => expect.unreachable()
    const output = {
      term: 1,
      epoch: 1,
      operation: 'append',
      receipt: null,
      files: [],
      local: [fileOf(1)],
      rows,
    } as const
    await expect(port.publish(output, stopping.signal)).rejects.toBe(reason)
    expect(await epochsIn(schema)).toEqual([])
    await publish(port, 1, fileOf(1))
    expect(await epochsIn(schema)).toEqual(whole(1))
  })

  test('is trusted by its certificate, and else not', async () => {
    const schema = await newSchema(server)
    const ca = await readFile(join(certificates, 'server.crt'), 'utf8')
    const untrusted = await openSink(sinkOf(server, schema, { url: `${server.endpoint}?sslmode=require` }), { columns })
    await expect(untrusted.own(true, 1)).rejects.toMatchObject({
      kind: 'user',
      message: expect.stringMatching(/self-signed certificate.* Look at the url of postgres/),
    })
    let encrypted = ''
    const trusted = await openSink(sinkOf(server, schema, { tls: { ca } }), {
      columns,
      calls: async call => {
        const result = await call()
        encrypted ||= await psql(
          server,
          "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'millrace'",
        )
        return result
      },
    })
    await trusted.own(true, 1)
    expect(encrypted).toBe('t')
    await publish(trusted, 1, fileOf(1))
    const plain = await startPostgres()
    try {
      const port = await openSink(sinkOf(plain, 'public', { tls: { ca } }), { columns })
      await expect(port.own(true, 1)).rejects.toMatchObject({
        kind: 'user',
        message: expect.stringContaining('does not support SSL'),
      })
    } finally {
      await plain.stop()
    }
  })

  test('has another encoding than UTF-8, which has no place for every text: it is refused', async () => {
    await psql(server, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    const port = await openSink(sinkOf(server, 'public', { url: server.endpoint.replace(/postgres$/, 'latin') }), {
      columns,
    })
    await expect(port.check(true)).rejects.toMatchObject({
      kind: 'user',
      message: expect.stringContaining('encoding LATIN1; expected UTF8'),
    })
  })

  test('doctor is told what is worth a thought', async () => {
    const { port } = await newPort()
    expect(await port.examine?.()).toEqual([
      { check: 'output', is: 'warning', message: expect.stringContaining('fsync is off') },
    ])
  })
})

function gate() {
  let open = () => {}
  const opened = new Promise<void>(resolve => (open = resolve))
  return { open: () => open(), opened }
}

/** A way to the server that breaks behind the first message which holds a text, before the answer comes back. */
async function startCutting(endpoint: string, text: string) {
  const target = new URL(endpoint)
  let cut = 0
  const sockets = new Set<Socket>()
  const listener = createServer(client => {
    const upstream = connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    client.on('data', chunk => {
      upstream.write(chunk)
      if (!chunk.includes(text)) return
      cut++
      // The server answers when it has done it.
      upstream.once('data', () => client.resetAndDestroy())
    })
    upstream.on('data', chunk => cut === 0 && client.write(chunk))
    client.on('close', () => upstream.destroy())
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    endpoint: `postgres://${target.username}@127.0.0.1:${(listener.address() as AddressInfo).port}${target.pathname}`,
    cuts: () => cut,
    async close() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}
