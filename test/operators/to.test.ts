import { Subject } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { files } from '../../connectors/files/spec.ts'
import { groupBy } from '../../operators/group-by.ts'
import { to } from '../../operators/to.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import { sinkOptions } from '../../src/plan/sink.ts'
import { checkForeignValue, createHead, errorOf, expectConfigError, marbles, tripsOf } from './flow.ts'

const sink = files('data/output', { format: 'parquet' })

test('to ends each mini-batch once: one description an epoch, and the epoch is what goes on', () => {
  marbles(({ cold, expectObservable, expectSubscriptions, flush }) => {
    const { batch, terminals } = createHead()
    const [a, b] = [batch(1), batch(2)]
    const source = cold('-a--b-|', { a, b })
    expectObservable(tripsOf(source).pipe(to(sink))).toBe('-a--b-|', { a: { epoch: 1 }, b: { epoch: 2 } })
    expectSubscriptions(source.subscriptions).toBe('^-----!')
    flush()
    const end = { is: 'sink', sink, behind: {} }
    expect(terminals).toEqual([
      { ...end, node: a.node },
      { ...end, node: b.node },
    ])
  })
})

test('errors and unsubscription pass through; nothing is described after them', () => {
  marbles(({ cold, expectObservable, expectSubscriptions, flush }) => {
    const { batch, terminals } = createHead()
    const failing = cold('-a-#', { a: batch(1) }, new Error('lost'))
    expectObservable(tripsOf(failing).pipe(to(sink))).toBe('-a-#', { a: { epoch: 1 } }, new Error('lost'))
    expectSubscriptions(failing.subscriptions).toBe('^--!')
    const long = cold('-a-b-c-', { a: batch(2), b: batch(3), c: batch(4) })
    expectObservable(tripsOf(long).pipe(to(sink)), '^--!').toBe('-a', { a: { epoch: 2 } })
    expectSubscriptions(long.subscriptions).toBe('^--!')
    flush()
    expect(terminals).toHaveLength(2)
  })
})

test('the description is made on the spot, before next() returns', () => {
  const { batch, terminals } = createHead()
  const source = new Subject()
  tripsOf(source).pipe(where('amount > 0'), to(sink)).subscribe()
  expect(terminals).toEqual([])
  source.next(batch(1))
  expect(terminals.map(({ node }) => node.op)).toEqual(['where'])
})

test('what is no mini-batch is refused', () => {
  checkForeignValue(trips => trips.pipe(to(sink)))
})

test('windows and groups cannot be written: aggregate must come first', () => {
  const open = (op: 'tumbling' | 'groupBy') => (trips: ReturnType<typeof tripsOf>) =>
    op === 'tumbling'
      ? trips.pipe(tumbling('1h'), to(sink) as never)
      : trips.pipe(tumbling('1h'), groupBy('zone'), to(sink) as never)
  expect(errorOf(open('tumbling'))).toMatchObject({
    kind: 'user',
    code: 'plan',
    message: 'to: cannot follow tumbling; add aggregate({...}) before it, which makes rows of windows.',
  })
  expect(errorOf(open('groupBy'))).toMatchObject({
    message: 'to: cannot follow groupBy; add aggregate({...}) before it, which makes rows of windows.',
  })
})

describe('sinks', () => {
  test.each([
    [undefined, 'undefined'],
    ['data/output', "'data/output'"],
    [{ sink: 'topic' }, '{"sink":"topic"}'],
  ])('to refuses what is no sink: %j', (value, shown) => {
    const expected = "a sink such as files('data/output', { format: 'parquet' })"
    expectConfigError(() => to(value as never), 'to', shown, expected)
  })

  test('files is plain data', () => {
    expect(files('out', { format: 'json' })).toEqual({ sink: 'files', uri: 'out', format: 'json' })
    const zoned = { sink: 'files', uri: 'out', format: 'json', zone: 'Z' }
    expect(files('out', { format: 'json', zone: 'Z' })).toEqual(zoned)
    expect(to(sink).options).toEqual({ sink: 'files', uri: 'data/output', format: 'parquet' })
  })

  test.each([
    ['', { format: 'json' }, 'files: uri', "''", 'a directory, or a file:// or s3:// address'],
    [5, { format: 'json' }, 'files: uri', '5', 'a directory, or a file:// or s3:// address'],
    ['out', { format: 'xml' }, 'files: format', "'xml'", "'parquet' or 'json' or 'csv'"],
    [
      'out',
      { format: 'csv', zone: 'Z' },
      'files: zone',
      "'Z'",
      "none, as format: 'csv' has times as DuckDB writes them",
    ],
    [
      'out',
      { format: 'json', compression: 'snappy' },
      'files: compression',
      "'snappy'",
      "'zstd', 'gzip' or 'none' with format: 'json'",
    ],
    [
      'out',
      { format: 'csv', rowGroupRows: 4096 },
      'files: rowGroupRows',
      '4096',
      "none, as format: 'csv' has no row groups",
    ],
    [
      'out',
      { format: 'csv', partitionColumns: 'path' },
      'files: partitionColumns',
      "'path'",
      'none without partitionBy',
    ],
    [
      'out',
      { format: 'csv', partitionBy: [] },
      'files: partitionBy',
      '[]',
      "a list such as ['zone', { day: 'window_start' }] or options: { year, month, day, hour }",
    ],
    [
      'out',
      { format: 'json', targetSize: '128 mb' },
      'files: targetSize',
      "'128 mb'",
      "a size above zero, such as '500kB', '128MB', '1.5 GB' or '64MiB'",
    ],
    ['out', { format: 'json', maxDelay: '0s' }, 'files: maxDelay', "'0s'", 'a duration above zero'],
    ['out', { format: 'json', zone: 'UTC' }, 'files: zone', "'UTC'", "'Z'"],
    [
      'out',
      { format: 'parquet', zone: 'Z' },
      'files: zone',
      "'Z'",
      "none, as format: 'parquet' keeps the types of times",
    ],
  ])('files refuses %j %j', (uri, options, field, value, expected) => {
    expectConfigError(() => files(uri as never, options as never), field, value, expected)
  })

  test.each([
    [{}, undefined],
    [{ targetSize: '1GB' }, { targetSize: '1GB', maxDelay: '10 minutes' }],
    [{ maxDelay: '90s' }, { targetSize: '128MB', maxDelay: '90s' }],
    [
      { targetSize: '64MiB', maxDelay: '1 hour' },
      { targetSize: '64MiB', maxDelay: '1 hour' },
    ],
  ] as const)('files with %j holds rows by %j, which is no part of the plan', (given, hold) => {
    const sink = files('out', { format: 'json', ...given })
    expect(sink.hold).toEqual(hold)
    expect(sinkOptions(sink)).toEqual({ format: 'json' })
  })

  test.each([
    ['out', undefined, "files: format is missing; expected 'parquet' or 'json' or 'csv'."],
    [
      'out',
      { format: 'json', formt: 'json' },
      "files: unknown option 'formt'; did you mean 'format'? Options here: format, zone, compression, rowGroupRows, partitionBy, partitionColumns, targetSize, snapshot, maxDelay.",
    ],
    [
      'out',
      { format: 'json', partitonBy: ['zone'] },
      "files: unknown option 'partitonBy'; did you mean 'partitionBy'? Options here: format, zone, compression, rowGroupRows, partitionBy, partitionColumns, targetSize, snapshot, maxDelay.",
    ],
    [
      'out',
      { format: 'json', uri: 'elsewhere' },
      "files: unknown option 'uri'. Options here: format, zone, compression, rowGroupRows, partitionBy, partitionColumns, targetSize, snapshot, maxDelay.",
    ],
    ['out', 'json', "files: 'json' is not valid; expected an object of options."],
  ])('files names what is wrong with %j %j', (uri, options, message) => {
    expect(() => files(uri, options as never)).toThrow(expect.objectContaining({ kind: 'user', message }))
  })
})
