import type { Observable } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { json } from '../../connectors/json/spec.ts'
import { parquet } from '../../connectors/parquet/spec.ts'
import { pipeline } from '../../src/plan/pipeline.ts'
import { defineSource, source } from '../../src/plan/source.ts'

const valid = {
  objects: 'data/input',
  format: parquet(),
  columns: { at: 'timestamp not null', zone: 'bigint', amount: 'DECIMAL(18, 2)', names: 'VARCHAR[]' },
  time: 'at',
}
const define = (options: object) => () => defineSource('trips', { ...valid, ...options } as never)

describe('a source', () => {
  test('is plain data with canonical types and the default policies', () => {
    const { settings, policies, objects, miniBatch } = defineSource('trips', valid as never)
    expect({ objects, miniBatch }).toEqual({ objects: 'data/input', miniBatch: {} })
    expect(policies).toEqual({ onBadRow: 'fail', onBadObject: 'quarantine', onDenied: 'fail', overwrite: 'quarantine' })
    expect(settings).toEqual({
      name: 'trips',
      format: 'parquet',
      columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', amount: 'DECIMAL(18,2)', names: 'VARCHAR[]' },
      time: 'at',
    })
  })

  test('keeps what was asked for; where objects lie, how they are cut and what happens to bad ones is no part of the plan (I11)', () => {
    const options = {
      format: json(),
      watermark: { delay: '1 day', bounds: 'trips_{yyyy}-{MM}' },
      onBadRow: 'quarantine',
      onBadObject: 'skip',
      overwrite: 'append',
      miniBatch: { objectsMax: 3 },
    }
    const { settings, policies, miniBatch } = define(options)()
    expect(policies).toEqual({ onBadRow: 'quarantine', onBadObject: 'skip', onDenied: 'fail', overwrite: 'append' })
    expect(miniBatch).toEqual({ objectsMax: 3 })
    expect(settings).toMatchObject({
      format: 'json',
      delayUs: '86400000000',
      bounds: { is: 'key', pattern: 'trips_{yyyy}-{MM}' },
    })
    expect(Object.keys(settings)).toEqual(['name', 'format', 'columns', 'time', 'delayUs', 'bounds'])
    const skewed = define({ watermark: { delay: '0s', bounds: { lastModifiedSkew: '2h' } } })().settings
    expect(skewed).toMatchObject({ delayUs: '0', bounds: { is: 'last-modified', skewUs: '7200000000' } })
  })

  test('cannot be subscribed outside a run', () => {
    const errors: unknown[] = []
    source('trips', valid as never).subscribe({ error: (error: unknown) => errors.push(error) })
    expect(errors).toEqual([
      expect.objectContaining({
        kind: 'user',
        message:
          "source trips: 'subscribe()' is not valid; expected a run: pass the flow to pipeline() and subscribe to run(pipeline).",
      }),
    ])
  })

  test('has an event time or not: without one there is nothing of it in its settings (P14)', () => {
    const { settings } = define({ time: undefined })()
    expect(Object.keys(settings)).toEqual(['name', 'format', 'columns'])
    expect(define({ time: undefined, watermark: { delay: '1 day' } })).toThrow(
      'source trips: watermark: {"delay":"1 day"} is not valid; expected `time` beside it, the column of the event ' +
        'time it goes by.',
    )
  })

  const aDirectory = 'a directory, or a file:// or s3:// address'
  const aDuration = "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'"

  test.each([
    [{ objects: '' }, 'objects', "''", aDirectory],
    [{ format: 'parquet' }, 'format', "'parquet'", 'what a format makes, such as parquet()'],
    [{ format: { format: 'csv' } }, 'format', '{"format":"csv"}', 'what a format makes, such as parquet()'],
    [{ columns: {} }, 'columns', '{}', 'at least one column: { name: SQL type }'],
    [{ time: 'when' }, 'time', "'when'", 'one of its columns: at, zone, amount, names'],
    [{ time: 'zone' }, 'time', "'zone BIGINT'", 'a TIMESTAMP, TIMESTAMPTZ or DATE column'],
    [{ onBadRow: 'skip' }, 'onBadRow', "'skip'", "'fail' or 'quarantine'"],
    [{ onBadObject: 'ignore' }, 'onBadObject', "'ignore'", "'fail' or 'skip' or 'quarantine'"],
    [{ overwrite: 'fail' }, 'overwrite', "'fail'", "'quarantine' or 'append'"],
    [{ watermark: { delay: 'a day' } }, 'watermark.delay', "'a day'", aDuration],
    [
      { watermark: { delay: '1d', bounds: 5 } },
      'watermark.bounds',
      '5',
      'a key pattern or options: { lastModifiedSkew }',
    ],
    [
      { watermark: { delay: '1d', bounds: { lastModifiedSkew: '1w' } } },
      'watermark.bounds.lastModifiedSkew',
      "'1w'",
      aDuration,
    ],
    [{ notifications: 'sqs' }, 'notifications', 'a string', 'what a connector makes, such as sqs({...})'],
    [
      { notifications: { notifications: 'sqs' } },
      'objects',
      "'data/input'",
      "an s3:// address, such as 's3://bucket/prefix/': notifications name objects of a bucket",
    ],
  ])('option %j is refused: field, value and what was expected', (options, field, value, expected) => {
    expect(define(options)).toThrow(
      expect.objectContaining({
        kind: 'user',
        message: `source trips: ${field}: ${value} is not valid; expected ${expected}.`,
      }),
    )
  })

  test.each([
    [
      { notification: 'sqs' },
      "unknown option 'notification'; did you mean 'notifications'? Options here: objects, format, columns, keyPattern, time, watermark, late, onBadRow, rescue, onBadObject, onDenied, overwrite, hidden, suffix, symlinks, miniBatch, notifications, reconcile, after, afterDelay.",
    ],
    [{ objects: undefined }, `objects is missing; expected ${aDirectory}.`],
    [{ watermark: {} }, `watermark.delay is missing; expected ${aDuration}.`],
    [
      { watermark: { delay: '1d', bound: 'x' } },
      "unknown option 'watermark.bound'; did you mean 'watermark.bounds'? Options here: delay, bounds, mark, idle.",
    ],
    [
      { watermark: { delay: '1d', bounds: { lastModifiedSkw: '1d' } } },
      "unknown option 'watermark.bounds.lastModifiedSkw'; did you mean 'watermark.bounds.lastModifiedSkew'?",
    ],
    [
      { watermark: { delay: '1d', mark: { quantile: 0.9, of: 'bounds' } } },
      "unknown option 'watermark.mark.of'. Options here: quantile.",
    ],
    [{ watermark: { delay: '1d', mark: { quantile: 1 } } }, 'watermark.mark.quantile: 1 is not valid'],
    [{ miniBatch: { rowMax: 5 } }, "unknown option 'miniBatch.rowMax'; did you mean 'miniBatch.rowsMax'?"],
    [{ reconcile: 'often' }, `reconcile: 'often' is not valid; expected ${aDuration} or false.`],
    [{ reconcile: true }, `reconcile: true is not valid; expected ${aDuration} or false.`],
  ])('options %j are refused: %s', (options, message) => {
    expect(define(options)).toThrow(
      expect.objectContaining({ kind: 'user', message: expect.stringContaining(`source trips: ${message}`) }),
    )
  })

  test.each([
    [
      { At: 'DATE', at: 'TIMESTAMP' },
      "columns: 'at' is not valid; expected a name that differs from 'At' in more than case",
    ],
    [
      { at: 'TIMESTAMP', _row: 'BIGINT' },
      "columns: '_row' is not valid; expected a column name that does not start with '_'",
    ],
    [{ at: 'TIMESTAMPZ' }, "columns.at: 'TIMESTAMPZ' is not valid; expected TIMESTAMP, or another of BOOLEAN"],
  ])('columns %j are refused', (columns, message) => {
    expect(define({ columns })).toThrow(`source trips: ${message}`)
  })

  test.each(['9trips', 'my trips', 'trips/2022', 'x'.repeat(65)])('name %j is refused', name => {
    expect(() => defineSource(name, valid as never)).toThrow(
      `source ${name}: name: '${name}' is not valid; expected a name of letters, digits, _ and -, at most 64.`,
    )
  })
})

describe('a pipeline', () => {
  const flow: Observable<unknown> = source('trips', valid as never)

  test('is its name, its checkpoint and its flows', () => {
    expect(pipeline('revenue.v2', { checkpoint: 'data/checkpoint' }, flow)).toEqual({
      kind: 'millrace-pipeline',
      name: 'revenue.v2',
      checkpoint: 'data/checkpoint',
      flows: [flow],
      at: { file: import.meta.filename, line: expect.any(Number), column: expect.any(Number) },
    })
  })

  test.each<{ make: () => unknown; message: string }>([
    {
      make: () => pipeline('a b', { checkpoint: 'c' }, flow),
      message: "pipeline: name: 'a b' is not valid; expected a name of letters, digits, ., _ and -, at most 128.",
    },
    {
      make: () => pipeline('a', { checkpoint: '' }, flow),
      message: "pipeline: checkpoint: '' is not valid; expected a directory, or a file:// or s3:// address.",
    },
    {
      make: () => pipeline('a', undefined as never, flow),
      message: 'pipeline: checkpoint is missing; expected a directory, or a file:// or s3:// address.',
    },
    {
      make: () => pipeline('a', { checkpoint: 'c' }),
      message: "pipeline: 'a' is not valid; expected at least one flow, such as trips.pipe(..., to(files(...))).",
    },
    {
      make: () => pipeline('a', { checkpoint: 'c' }, flow, {} as never),
      message: "pipeline flow 2: 'object' is not valid; expected a flow: source(...).pipe(...).",
    },
  ])('is refused with $message', ({ make, message }) => {
    expect(make).toThrow(expect.objectContaining({ kind: 'user', message }))
  })
})
