import { createHash, createHmac, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openRestCatalog } from '../../../connectors/iceberg/rest-catalog.ts'
import { openRestClient, type RestClient } from '../../../connectors/iceberg/rest-client.ts'
import { icebergCatalog } from '../../../connectors/iceberg/rest-spec.ts'
import { openTable } from '../../../connectors/iceberg/sink.ts'
import { settingsOf } from '../../../connectors/iceberg/spec.ts'
import { openSession } from '../../../src/engine/duckdb/session.ts'
import { openS3 } from '../../../connectors/s3/open.ts'
import { keysOf, noSleep } from '../../checkpoints/fixtures.ts'
import { type Calls, describeSink, type SinkLab, type SinkRowsLab, storeThrough } from '../../contracts/sink.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startIcebergRest } from '../../servers/iceberg-rest.ts'
import { openLakeReaders } from '../../servers/lake-readers.ts'
import { startMinio } from '../../servers/minio.ts'
import { currentFiles, currentKeys, epochsIn } from './fixtures.ts'
import { BUCKET, makeBucket, S3_ENVIRONMENT } from '../s3/fixtures.ts'

const minio = await serverFor(startMinio)
if (minio) {
  await makeBucket(minio.endpoint)
  Object.assign(process.env, S3_ENVIRONMENT, { AWS_ENDPOINT_URL_S3: minio.endpoint })
}
const catalog = minio && (await serverFor(() => startIcebergRest(minio.endpoint, `s3://${BUCKET}/warehouse`)))
const readers = await serverFor(openLakeReaders)

const columns = { k: 'VARCHAR' }
let tables = 0

function clientThrough(client: RestClient, calls: Calls): RestClient {
  return { call: (...args) => calls(() => client.call(...args)) }
}

const storeAt = (address: string) => openS3(address, 'test')

function openLab(lab: SinkRowsLab): SinkLab {
  const table = `tested.t${++tables}`
  const sink = icebergCatalog({ url: catalog?.endpoint, table })
  const name = { namespace: ['tested'], name: `t${tables}` }
  const rest = sink.access().rest
  const openCatalog = (calls: Calls) =>
    openRestCatalog(
      clientThrough(openRestClient(rest), calls),
      name,
      { address: sink.uri, warehouse: undefined },
      { sleep: noSleep, openStore: async address => storeThrough(await storeAt(address), calls) },
    )
  const plain = openCatalog(call => call())
  return {
    async open(checkpointId, calls) {
      const context = {
        output: 'flow-1',
        columns,
        operation: 'append',
        checkpointId,
        pipeline: 'tested',
        newId: randomUUID,
        sleep: noSleep,
        nowMs: Date.now,
        openStore: storeAt,
        duckdb: async <T>(work: (duckdb: SinkRowsLab) => Promise<T>) => work(lab),
      } as const
      return openTable(settingsOf(sink), openCatalog(calls), context)
    },
    async visible() {
      const found = await plain.load()
      return found ? epochsIn(lab.executor, await currentFiles(await plain.storeOf(found), lab.folder, found)) : []
    },
    async staged() {
      const found = await plain.load()
      if (!found) return []
      const store = await plain.storeOf(found)
      const named = await currentKeys(store, found)
      return (await keysOf(store, 'data/')).filter(key => !named.includes(key))
    },
    async traces() {
      const found = await plain.load()
      return found ? [JSON.stringify(found.properties), String(found['current-snapshot-id'])] : []
    },
    close: async () => {},
  }
}

if (catalog)
  describeSink('a table of Iceberg behind a REST catalog', { tells: true, isOwned: true, fences: true }, async rows =>
    openLab(rows),
  )

describe.skipIf(!catalog || !readers)('a table behind a REST catalog', () => {
  test('is found and read by pyiceberg through the catalog', async () => {
    const script = `
from pyiceberg.catalog import load_catalog
options = {'s3.endpoint': args[1], 's3.access-key-id': 'test', 's3.secret-access-key': 'testtest', 's3.region': 'us-east-1'}
table = load_catalog('c', type='rest', uri=args[0], **options).load_table(args[2])
answer([sorted(table.scan().to_arrow().column('k').to_pylist()), table.properties['millrace.epoch'], len(table.snapshots())])`
    const session = await openSession({ threads: 1, memory: '200MB' })
    try {
      const executor = await session.executor(new AbortController().signal)
      const lab = openLab({ executor, folder: session.stage, read: async () => [] })
      const port = await lab.open('checkpoint-a', call => call())
      await port.own(true, 1)
      const rows: string[] = []
      for (let epoch = 1; epoch <= 3; epoch++) {
        const k = `${epoch} naïve`
        rows.push(k)
        const written = await executor.write(`SELECT '${k}' AS k`, join(session.stage, `rows-${epoch}`), ['k'])
        const output = { term: 1, epoch, operation: 'append', files: [written], inlineBytesMax: 0 } as const
        const staged = await port.stage?.(output)
        const none = () => {
          throw new Error('files are there')
        }
        const committed = {
          ...output,
          receipt: staged?.receipt ?? null,
          files: staged?.files ?? [],
          local: [],
          rows: none,
        }
        expect(await port.publish(committed, new AbortController().signal)).toBe('published')
      }
      const answer = await readers?.ask(script, catalog?.endpoint ?? '', minio?.endpoint ?? '', `tested.t${tables}`)
      expect(answer).toEqual([rows, '3', 3])
    } finally {
      await session.close()
    }
  })
})

interface Heard extends Pick<IncomingMessage, 'method' | 'url' | 'headers'> {
  readonly body: string
}

/** A catalog that answers what it is told to, and what it has heard. */
async function scripted(answer: (heard: Heard, count: number) => readonly [status: number, body: unknown]) {
  const heard: Heard[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', piece => (body += String(piece)))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      heard.push({ method, url, headers, body })
      const [status, content] = answer(heard.at(-1) as Heard, heard.length)
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content))
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`
  return { url, heard, close: () => new Promise(resolve => server.close(resolve)) }
}

describe('the client of a REST catalog', () => {
  const access = { warehouse: undefined, token: undefined, oauth: undefined, sigv4: undefined }

  test('logs in with client credentials, and anew when the token has ended', async () => {
    const server = await scripted(({ url, headers }, count) => {
      if (url === '/api/v1/oauth/tokens') return [200, { access_token: `t${count}` }]
      return headers.authorization === 'Bearer t3' ? [200, { overrides: {} }] : [401, {}]
    })
    try {
      const oauth = { clientId: 'me', clientSecret: 's3cret&' }
      const client = openRestClient({ ...access, url: server.url, oauth })
      expect((await client.call('GET', '/config')).status).toBe(200)
      expect(server.heard.map(({ url }) => url)).toEqual([
        '/api/v1/oauth/tokens',
        '/api/v1/config',
        '/api/v1/oauth/tokens',
        '/api/v1/config',
      ])
      expect(server.heard[0]?.body).toBe(
        'grant_type=client_credentials&client_id=me&client_secret=s3cret%26&scope=catalog',
      )
    } finally {
      await server.close()
    }
  })

  test('signs as AWS asks for it: the signature is what SigV4 says of the request that arrived', async () => {
    const server = await scripted(() => [200, {}])
    try {
      Object.assign(process.env, S3_ENVIRONMENT)
      const sigv4 = { service: 's3tables', region: 'eu-west-1' }
      const client = openRestClient({ ...access, url: server.url, sigv4 })
      await client.call('POST', '/a%1Fb/tables?x=1%202', { table: 'naïve' })
      const { headers, body, url } = server.heard[0] as Heard
      const found = /Credential=([^/]+)\/(\d+)\/(.*), SignedHeaders=([^,]+), Signature=(\w+)/.exec(
        headers.authorization ?? '',
      )
      const [, keyId, day = '', scope = '', names = '', signature] = found ?? []
      expect(keyId).toBe(S3_ENVIRONMENT.AWS_ACCESS_KEY_ID)
      expect(scope).toBe('eu-west-1/s3tables/aws4_request')
      const sha = (text: string) => createHash('sha256').update(text).digest('hex')
      const [path = '', query = ''] = (url ?? '').split('?')
      // Of a path that is encoded already each part is encoded once more, as of all services but S3.
      const canonical = [
        'POST',
        path.split('/').map(encodeURIComponent).join('/'),
        query,
        ...names.split(';').map(name => `${name}:${String(headers[name])}`),
        '',
        names,
        sha(body),
      ].join('\n')
      const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], `${day}/${scope}`, sha(canonical)].join('\n')
      const mac = (key: string | Buffer, value: string) => createHmac('sha256', key).update(value).digest()
      const key = [day, 'eu-west-1', 's3tables', 'aws4_request'].reduce<string | Buffer>(
        mac,
        `AWS4${S3_ENVIRONMENT.AWS_SECRET_ACCESS_KEY}`,
      )
      expect(signature).toBe(mac(key, text).toString('hex'))
    } finally {
      await server.close()
    }
  })

  test('says what a catalog that does not let it in has answered, and nothing of the login', async () => {
    const server = await scripted(() => [
      403,
      { error: { message: 'not yours', type: 'ForbiddenException', code: 403 } },
    ])
    try {
      const client = openRestClient({ ...access, url: server.url, token: 'very-secret' })
      const error = await client.call('GET', '/config').catch((caught: unknown) => caught)
      expect(error).toMatchObject({ kind: 'user', code: 'catalog-refused' })
      expect(String(error)).toContain('it answered 403: not yours; check the login')
      expect(String(error)).not.toContain('very-secret')
    } finally {
      await server.close()
    }
  })

  test('says `retry` where nothing answers', async () => {
    const server = await scripted(() => [200, {}])
    await server.close()
    const client = openRestClient({ ...access, url: server.url })
    await expect(client.call('GET', '/config')).rejects.toMatchObject({ kind: 'retry', code: 'catalog-unavailable' })
  })

  test('logins are in no plan, and one of them is enough', () => {
    const sink = icebergCatalog({ url: 'https://c.example', table: 'a.b', token: 'very-secret' })
    expect(JSON.stringify(sink)).not.toContain('very-secret')
    expect(sink.uri).toBe('https://c.example/a.b')
    const both = { url: 'https://c.example', table: 'a.b', token: 'x', sigv4: { service: 'glue' } }
    expect(() => icebergCatalog(both)).toThrow('one of token, oauth and sigv4')
    expect(() => icebergCatalog({ url: 'https://me:pass@c.example', table: 'a.b' })).toThrow(/^(?!.*pass)/s)
    expect(() => icebergCatalog({ url: undefined, table: 'a.b' })).toThrow('is its variable set?')
    expect(() => icebergCatalog({ url: 'https://c.example', table: 'b' })).toThrow("such as 'analytics.sessions'")
  })
})
