import { describe, expect, test } from 'vitest'
import { readBackfillArguments } from '../../src/cli/commands/backfill.ts'

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
    expect(readBackfillArguments(line.split(' '))).toEqual({ file: 'p.ts', json: false, options })
  })

  test('--json', () => {
    expect(readBackfillArguments(['--json', 'p.ts'])).toEqual({ file: 'p.ts', json: true, options: {} })
  })
})

describe('refused arguments of backfill, each with what is wrong', () => {
  test.each([
    ['', 'the pipeline is missing'],
    ['p.ts q.ts', "found 'q.ts' after p.ts; expected one pipeline file"],
    ['p.ts --inpt in', 'unknown option --inpt; did you mean --input?'],
    ['p.ts -x', 'unknown option -x.'],
    ['p.ts --toString', 'unknown option --toString'],
    ['p.ts --input', '--input: the value is missing; expected --input DIR|GLOB'],
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
    expect(() => readBackfillArguments(line.split(' ').filter(word => word !== ''))).toThrow(
      expect.objectContaining({ kind: 'user', message: expect.stringContaining(message) }),
    )
  })

  test('an empty value', () => {
    expect(() => readBackfillArguments(['p.ts', '--input', ''])).toThrow("--input: '' is not valid; expected some text")
  })
})
