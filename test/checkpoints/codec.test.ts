import { describe, expect, test } from 'vitest'
import {
  decodeHead,
  decodeManifest,
  encodeHead,
  encodeManifest,
  currentFormat,
  sha256,
} from '../../checkpoints/codec.ts'
import { emptyHead, emptyManifest } from './fixtures.ts'

const head = emptyHead(3, 'put-1')
const name = 's3://bucket/checkpoint/HEAD'

/** A document with this JSON and a header that fits it. */
function signed(kind: string, json: string): Uint8Array {
  const body = Buffer.from(json)
  return Buffer.concat([Buffer.from(`millrace-${kind}/1 sha256=${sha256(body)} bytes=${body.length}\n`), body])
}

describe('the bytes of HEAD', () => {
  test('come back as they were, and are the same for the same head', () => {
    expect(decodeHead(encodeHead(head), name)).toEqual(head)
    expect(encodeHead(head)).toEqual(encodeHead(structuredClone(head)))
  })

  test('begin with a line that says what follows', () => {
    const [first, second] = Buffer.from(encodeHead(head)).toString().split('\n')
    expect(first).toMatch(/^millrace-head\/1 sha256=[0-9a-f]{64} bytes=\d+$/)
    expect(JSON.parse(second ?? '')).toEqual(head)
  })

  test('are refused with any single bit flipped, naming the object (P10)', () => {
    const bytes = encodeHead(head)
    for (let i = 0; i < bytes.length * 8; i++) {
      const damaged = Uint8Array.from(bytes)
      damaged[i >> 3] = (damaged[i >> 3] ?? 0) ^ (1 << (i & 7))
      expect(() => decodeHead(damaged, name), `bit ${i}`).toThrow(
        expect.objectContaining({ code: 'corrupt-object', message: expect.stringContaining(name) }),
      )
    }
  })

  test('are refused when cut anywhere or when anything follows them (P10)', () => {
    const bytes = encodeHead(head)
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeHead(bytes.slice(0, length), name), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'corrupt-object' }),
      )
    }
    expect(() => decodeHead(Buffer.concat([bytes, Buffer.from('\n')]), name)).toThrow(/expected \d+ bytes of JSON/)
  })

  test('are refused when a newer reader is needed, saying to upgrade (P14)', () => {
    expect(() =>
      decodeHead(encodeHead({ ...head, format: currentFormat + 1, minReader: currentFormat + 1 }), name),
    ).toThrow(
      expect.objectContaining({ kind: 'user', code: 'newer-format', message: expect.stringContaining('Upgrade') }),
    )
  })

  test('are read when a newer writer says that this reader will do (P14)', () => {
    expect(decodeHead(encodeHead({ ...head, format: currentFormat + 1, minReader: 1 }), name).term).toBe(3)
  })

  test('name the columns of rows once, however many parts have them, and give all back as they were', () => {
    const columns = { seq: 'BIGINT', key: 'VARCHAR' }
    const rows = (n: number, own: Readonly<Record<string, string>>) => ({
      name: `ledger/1-${n}-id.parquet`,
      bytes: 1,
      rows: 1,
      sha256: 's',
      epochs: [n, n] as const,
      text: { columns: own, rows: [[n, `key ${n}`]] },
    })
    const channels = {
      ledger: [rows(1, columns), rows(2, { ...columns }), rows(3, { key: 'VARCHAR', seq: 'BIGINT' })],
      outputs: [rows(4, columns), { name: 'a file', bytes: 1, rows: 1, sha256: 's', epochs: [1, 1] as const }],
    }
    const bytes = encodeHead({ ...head, manifest: { ...head.manifest, channels } })
    // The order of columns is part of them.
    expect(
      Buffer.from(bytes)
        .toString()
        .match(/"seq":"BIGINT"/g),
    ).toHaveLength(2)
    expect(decodeHead(bytes, name).manifest?.channels).toEqual(channels)
    expect(decodeManifest(encodeManifest({ ...head.manifest, channels }), name).channels).toEqual(channels)
  })

  test('are refused when they have rows of columns that are not there (P10)', () => {
    const part = { name: 'n', bytes: 1, rows: 1, sha256: 's', epochs: [1, 1], text: { columns: 1, rows: [[1]] } }
    const manifest = { ...head.manifest, columns: [{ a: 'BIGINT' }], channels: { ledger: [part] } }
    expect(() => decodeHead(signed('head', JSON.stringify({ ...head, manifest })), name)).toThrow(
      expect.objectContaining({ code: 'corrupt-object', message: expect.stringContaining('columns') }),
    )
  })

  test('of format 1, which knew no rows that wait, are read as having none (P14)', () => {
    const json = JSON.stringify({ ...head, format: 1, minReader: 1 })
    expect(decodeHead(signed('head', json), name)).toEqual({ ...head, format: 1, minReader: 1 })
  })

  test('of formats 1 to 3 name files and rows that wait in two lists, which are one by now (P14)', () => {
    const file = (name: string) => ({ name, bytes: 5, rows: 2, sha256: 'f' })
    const staged = file('_millrace/staged/3-7-a')
    const inside = { ...file('_millrace/staged/3-8-b'), inline: 'AA==' }
    const kept = file('deliveries/3-6-c.parquet')
    const unpublished = [
      { output: 'flow-1', file: inside, to: 'part-00000008-flow-1.parquet' },
      { output: 'flow-1', file: staged, to: 'part-00000007-flow-1.parquet' },
    ]
    const undelivered = [{ output: 'flow-2', epoch: 6, file: kept }]
    const decoded = (format: number, more: object) => {
      const manifest = { ...head.manifest, unpublished, ...more }
      return decodeHead(signed('head', JSON.stringify({ ...head, format, minReader: format, manifest })), name).manifest
    }
    const entry = { operation: 'append', at: 'sink' }
    const files = [
      { ...entry, output: 'flow-1', epoch: 7, receipt: ['part-00000007-flow-1.parquet'], files: [staged] },
      { ...entry, output: 'flow-1', epoch: 8, receipt: ['part-00000008-flow-1.parquet'], files: [inside] },
    ]
    const rows = { output: 'flow-2', epoch: 6, operation: 'append', receipt: null, at: 'checkpoint', files: [kept] }
    expect(decoded(1, {})).toEqual({ ...head.manifest, unpublished: files })
    for (const format of [2, 3])
      expect(decoded(format, { undelivered })).toEqual({ ...head.manifest, unpublished: [rows, ...files] })
  })

  test.each([
    ['no JSON', 'hello'],
    ['an array', '[]'],
    ['no format', JSON.stringify({ ...head, format: undefined })],
    ['a term that is no number', JSON.stringify({ ...head, term: '3' })],
    ['a negative term', JSON.stringify({ ...head, term: -1 })],
    ['an empty putId', JSON.stringify({ ...head, putId: '' })],
    ['no manifest', JSON.stringify({ ...head, manifest: undefined })],
    ['what waits in another form', JSON.stringify({ ...head, manifest: { ...emptyManifest(), unpublished: {} } })],
    [
      'rows that wait in another form than its format has',
      JSON.stringify({ ...head, format: 2, manifest: { ...emptyManifest(), undelivered: {} } }),
    ],
    [
      'a staged file whose name tells no epoch',
      JSON.stringify({
        ...head,
        format: 3,
        manifest: { ...emptyManifest(), unpublished: [{ output: 'o', file: { name: 'x' }, to: 'y' }] },
      }),
    ],
    ['a manifest without channels', JSON.stringify({ ...head, manifest: { ...emptyManifest(), channels: [] } })],
  ])('are refused with %s, although they hash', (_what, json) => {
    expect(() => decodeHead(signed('head', json), name)).toThrow(expect.objectContaining({ code: 'corrupt-object' }))
  })
})

describe('the bytes of a retained manifest', () => {
  test('come back as they were, and are no HEAD', () => {
    const bytes = encodeManifest(emptyManifest(7))
    expect(decodeManifest(bytes, 'm')).toEqual(emptyManifest(7))
    expect(() => decodeHead(bytes, 'm')).toThrow(expect.objectContaining({ code: 'corrupt-object' }))
    expect(() => decodeManifest(encodeHead(head), 'm')).toThrow(expect.objectContaining({ code: 'corrupt-object' }))
  })

  test('of format 1 are read as naming no rows that wait (P14)', () => {
    const json = JSON.stringify({ format: 1, minReader: 1, manifest: emptyManifest(7) })
    expect(decodeManifest(signed('manifest', json), 'm')).toEqual(emptyManifest(7))
  })
})
