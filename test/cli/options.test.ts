import { describe, expect, test } from 'vitest'
import { backfillCommand, backfillOptionsOf } from '../../src/cli/commands/backfill.ts'
import { runCommand } from '../../src/cli/commands/run.ts'
import { sqlCommand } from '../../src/cli/commands/sql.ts'
import { readArguments } from '../../src/cli/options.ts'

const read = (words: readonly string[]) => readArguments('backfill', backfillCommand.options, words)

describe('accepted arguments of backfill', () => {
  test.each<[string, object]>([
    ['p.ts', {}],
    ['p.ts --input in --output out --checkpoint cp', { input: 'in', output: 'out', checkpoint: 'cp' }],
    ['--input=in/*.parquet p.ts', { input: 'in/*.parquet' }],
    ['--input=--odd p.ts', { input: '--odd' }],
    ['p.ts --from 2022-01 --to 2022-02', { from: '2022-01', to: '2022-02' }],
    ['p.ts --from 2022-01-15 --to 2022-01-15T06:00:00Z', { from: '2022-01-15', to: '2022-01-15T06:00:00Z' }],
    ['p.ts --objects-per-epoch 3 --threads 2', { objectsPerEpoch: 3, threads: 2 }],
    ['p.ts --memory 2GB --spill tmp', { memory: '2GB', spill: 'tmp' }],
    ['p.ts --memory 1.5GiB', { memory: '1.5GiB' }],
    ['p.ts --no-flush', { flush: false }],
    ['--no-flush -- p.ts', { flush: false }],
  ])('%s', (line, options) => {
    const given = read(line.split(' '))
    expect(given.file).toBe('p.ts')
    expect(backfillOptionsOf(given)).toEqual(options)
  })

  test('--json', () => {
    expect(read(['--json', 'p.ts'])).toEqual({ file: 'p.ts', json: true })
  })
})

describe('refused arguments of backfill, each with what is wrong', () => {
  test.each([
    ['', 'backfill: PIPELINE.ts is missing; expected a pipeline file, such as pipeline.ts.'],
    ['p.ts q.ts', "found 'q.ts' after 'p.ts'; expected millrace backfill PIPELINE.ts [OPTIONS]."],
    ['p.ts --inpt in', 'unknown option --inpt; did you mean --input?'],
    ['p.ts --inptu in', 'unknown option --inptu; did you mean --input?'],
    ['p.ts --file q.ts', 'unknown option --file'],
    ['p.ts --objectsPerEpoch 3', 'unknown option --objectsPerEpoch; did you mean --objects-per-epoch?'],
    ['p.ts -x', 'unknown option -x.'],
    ['p.ts --toString', 'unknown option --toString'],
    ['p.ts --input', '--input: the value is missing; expected --input [SOURCE=]ADDRESS|GLOB'],
    ['p.ts --input --json', '--input: the value is missing'],
    ['p.ts --json=yes', "--json: takes no value, found 'yes'"],
    ['p.ts --threads 1 --threads 2', '--threads is given twice'],
    ['p.ts --threads 0', "--threads: '0' is not valid; expected a whole number from 1 to 1024"],
    ['p.ts --threads 1.5', "--threads: '1.5' is not valid"],
    ['p.ts --objects-per-epoch many', "--objects-per-epoch: 'many' is not valid; expected a whole number from 1 to"],
    ['p.ts --objects-per-epoch -1', "--objects-per-epoch: '-1' is not valid"],
    ['p.ts --memory 2', "--memory: '2' is not valid; expected a size such as '512MB'"],
    ['p.ts --memory 0GB', "--memory: '0GB' is not valid"],
    ['p.ts --from January', "--from: 'January' is not valid; expected a UTC date such as '2022-01'"],
    ['p.ts --from 2022-13', "--from: '2022-13' is not valid"],
    ['p.ts --to 2022-02-30', "--to: '2022-02-30' is not valid"],
    ['p.ts --to 2022-01-01T10:00+02:00', '--to: '],
    ['p.ts --from 2022-02 --to 2022-02-01', "--to: '2022-02-01' is not valid; expected a period after --from 2022-02"],
  ])('%s', (line, message) => {
    expect(() => backfillOptionsOf(read(line.split(' ').filter(word => word !== '')))).toThrow(
      expect.objectContaining({ kind: 'user', message: expect.stringContaining(message) }),
    )
  })

  test('an empty value', () => {
    expect(() => read(['p.ts', '--input', ''])).toThrow(
      "backfill: --input: '' is not valid; expected a directory, or a file:// or s3:// address; or such places by the names of sources: { trips: 'data/trips' }. See 'millrace backfill --help'.",
    )
  })
})

test.each([
  ['--log yaml', "run: --log: 'yaml' is not valid; expected 'json' or 'pretty'."],
  ['--log-level chatty', "run: --log-level: 'chatty' is not valid; expected 'trace' or 'debug' or"],
  ['--http 9464', "run: --http: '9464' is not valid; expected HOST:PORT"],
  ['--http-host a.example,', "run: --http-host: 'a.example,' is not valid; expected names with commas between them"],
  ['--drain-seconds 1e9', "run: --drain-seconds: '1e9' is not valid; expected a whole number from 0 to 86400."],
])('a value that run does not know: %s', (line, message) => {
  expect(() => readArguments('run', runCommand.options, ['p.ts', ...line.split(' ')])).toThrow(message)
})

test('a query without quotes is told how it is written', () => {
  expect(() => readArguments('sql', sqlCommand.options, ['state', 'SELECT', '1'])).toThrow(
    "sql: found '1' after 'SELECT'; expected millrace sql CHECKPOINT ['SELECT ...'] [OPTIONS].",
  )
})
