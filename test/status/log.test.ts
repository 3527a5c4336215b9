import { describe, expect, test } from 'vitest'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { createLog, type LogFormat, type LogLevel } from '../../src/status/log.ts'
import { logRecords } from '../../src/status/log-records.ts'
import { createRedact } from '../../src/status/redact.ts'

const totals = {
  rows: 7,
  late: 2,
  applied: 0,
  objects: 3,
  quarantined: 1,
  skipped: 0,
  gone: 0,
  suspect: 0,
  quarantinedRows: 4,
  outsideBounds: 0,
  epochs: 1,
}
const epoch: RunEvent = {
  is: 'epoch',
  result: { epoch: 5, objects: 3, rows: 1_200, late: 2, outputFiles: ['file:///out/part-5.parquet'], totals },
  tookMs: 1_250.123_4,
  bytes: 4_096,
  sources: [{ source: 'trips', objects: 3, rows: 1_200, bytes: 4_096 }],
  quarantined: 1,
  skipped: 0,
  gone: 0,
  suspect: 0,
  quarantinedRows: 4,
  badRows: [],
  lateRows: [],
  firstBadRow: { object: 'a.jsonl', row: 7, column: 'n', expected: 'BIGINT', found: 'x\ny' },
  setAside: [{ key: 'b.parquet', reason: 'no Parquet:\n really' }],
}

function written(format: LogFormat, level: LogLevel, events: readonly RunEvent[]): readonly string[] {
  const lines: string[] = []
  const log = createLog({
    format,
    level,
    pipeline: 'p',
    redact: createRedact(['hunter22']),
    write: text => lines.push(text),
  })
  for (const event of events) for (const record of logRecords(event)) log(record)
  return lines
}

/** Without what differs from run to run. */
const parsed = (line: string) => {
  const { time, pid, ...rest } = JSON.parse(line)
  expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  expect(pid).toBe(process.pid)
  return rest
}

describe('the log', () => {
  test('JSON: one object a line, level as a word, figures as fields', () => {
    const lines = written('json', 'info', [epoch])
    expect(lines.map(line => line.endsWith('\n') && line.indexOf('\n') === line.length - 1)).toEqual([true, true])
    expect(lines.map(parsed)).toEqual([
      {
        level: 'warn',
        pipeline: 'p',
        event: 'epoch',
        message:
          'epoch 5: 3 objects, 1,200 rows, 4.1 kB, 2 late, 4 bad rows ' +
          "(the first: object a.jsonl, row 7, column 'n': expected BIGINT, found 'x\\u000ay'), 1 output file in 1.3 s",
        epoch: 5,
        objects: 3,
        rows: 1_200,
        bytes: 4_096,
        late: 2,
        quarantined: 1,
        skipped: 0,
        gone: 0,
        suspect: 0,
        quarantinedRows: 4,
        firstBadRow: { object: 'a.jsonl', row: 7, column: 'n', expected: 'BIGINT', found: 'x\ny' },
        outputFiles: ['file:///out/part-5.parquet'],
        tookMs: 1_250,
      },
      {
        level: 'warn',
        pipeline: 'p',
        event: 'object-set-aside',
        message: 'object b.parquet was not counted: no Parquet:\n really',
        epoch: 5,
        key: 'b.parquet',
        reason: 'no Parquet:\n really',
      },
    ])
  })

  test('pretty: time, level unless it is info, and one line', () => {
    expect(written('pretty', 'info', [epoch]).map(line => line.replace(/^\d\d:\d\d:\d\dZ /, 'TIME '))).toEqual([
      'TIME WARN epoch 5: 3 objects, 1,200 rows, 4.1 kB, 2 late, 4 bad rows ' +
        "(the first: object a.jsonl, row 7, column 'n': expected BIGINT, found 'x\\u000ay'), 1 output file in 1.3 s\n",
      'TIME WARN object b.parquet was not counted: no Parquet: really\n',
    ])
  })

  test('one bad row is told as it is, a broken one without a column, a long one cut', () => {
    const one = (found: string | null): RunEvent => ({
      ...epoch,
      quarantinedRows: 1,
      firstBadRow: { object: 'a.jsonl', row: 0, column: null, expected: 'a JSON object', found },
    })
    const [long, none] = [one('x'.repeat(1_000)), one(null)].map(event => written('json', 'info', [event])[0] ?? '')
    expect(parsed(long ?? '')).toMatchObject({ firstBadRow: { found: `${'x'.repeat(200)}...` } })
    expect(parsed(long ?? '').message).toContain(
      `1 bad row (object a.jsonl, row 0: expected a JSON object, found '${'x'.repeat(200)}...'), 1 output`,
    )
    expect(parsed(none ?? '').message).toContain('row 0: expected a JSON object, found NULL)')
  })

  test.each([
    [
      'info',
      [
        'standing-by',
        'started',
        'no-watermark',
        'listed',
        'ignored',
        'restarting',
        'trouble',
        'malformed',
        'idle',
        'draining',
        'stopped',
      ],
    ],
    ['warn', ['no-watermark', 'restarting', 'trouble', 'malformed']],
    [
      'trace',
      [
        'standing-by',
        'started',
        'no-watermark',
        'listed',
        'listed',
        'phase',
        'delivered',
        'received',
        'ignored',
        'restarting',
        'trouble',
        'malformed',
        'idle',
        'draining',
        'stopped',
      ],
    ],
  ] as const)('at level %s', (level, expected) => {
    const events: readonly RunEvent[] = [
      { is: 'waiting', owner: 'host/1/2' },
      { is: 'started', term: 2, epoch: 4, checkpoint: 's3://b/ck/' },
      { is: 'no-watermark', source: 'in' },
      { is: 'reconciled', listed: 10, found: 3, ignored: {}, tookMs: 12 },
      { is: 'reconciled', listed: 10, found: 0, ignored: {}, tookMs: 12 },
      { is: 'phase', phase: 'apply', ms: 1.25 },
      { is: 'delivered', flow: 'flow-2', epoch: 4, rows: 1_200, tookMs: 30.5 },
      { is: 'received', messages: 2, objects: 3, duplicates: 1, ignored: {} },
      { is: 'ignored', by: 'messages', ignored: { hidden: { count: 2, first: '_a' } } },
      { is: 'restarting', error: 'S3 is away', inMs: 1_000 },
      { is: 'trouble', what: 'acknowledging message 1', error: 'away' },
      { is: 'notification', notification: { level: 'warn', event: 'malformed', message: 'not JSON', details: {} } },
      { is: 'idle' },
      { is: 'draining' },
      { is: 'stopped', epoch: 5 },
    ]
    expect(written('json', level, events).map(line => JSON.parse(line).event)).toEqual(expected)
  })

  test('secrets are taken out of messages and fields', () => {
    const [line] = written('json', 'info', [
      {
        is: 'notification',
        notification: {
          level: 'error',
          event: 'kafka-refused',
          message: 'SASL failed for me/hunter22 at http://me:pass@host/',
          details: { password: 'anything', address: 'https://b/k?X-Amz-Signature=abc' },
        },
      },
    ])
    expect(parsed(line ?? '')).toMatchObject({
      message: 'SASL failed for me/[redacted] at http://[redacted]@host/',
      details: { password: '[redacted]', address: 'https://b/k?[redacted]' },
    })
  })
})
