import { expect, test } from 'vitest'
import { rememberVariable, withoutVariables } from '../../src/cli/variables.ts'
import { recordingTerminal } from './recorder.ts'

test('what variables hold is shown by their names, the longer ones first', () => {
  const recorder = recordingTerminal()
  const terminal = withoutVariables(recorder)
  rememberVariable('HOST', 'db.example')
  rememberVariable('PG', 'postgres://me:pw@db.example/x')
  rememberVariable('SHORT', 'abc')
  terminal.out('to postgres://me:pw@db.example/x\n')
  terminal.err('at db.example: abc\n')
  expect(recorder.stdout).toBe('to ${PG}\n')
  expect(recorder.stderr).toBe('at ${HOST}: abc\n')
})
