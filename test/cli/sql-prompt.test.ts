import { spawn } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { complete } from '../../src/cli/sql-prompt/completion.ts'
import { historyFile } from '../../src/cli/sql-prompt/history.ts'
import { splitStatements } from '../../src/cli/sql-prompt/split-statements.ts'
import { type Lab, openLab, run, windowed } from '../engine/harness.ts'
import { nodeBinary, root } from './child.ts'

let lab: Lab
beforeAll(async () => {
  lab = await openLab()
  await lab.parquet('a.parquet', `SELECT TIMESTAMP '2024-05-01' AS t`)
  await run(windowed(lab, lab, { columns: { t: 'TIMESTAMP' }, delay: '1 hour' }))
}, 120_000)
afterAll(() => lab[Symbol.asyncDispose]())

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function ended(command: string, args: readonly string[], input: string | undefined): Promise<Ended> {
  const { NODE_OPTIONS: _, ...clean } = process.env
  const env = { ...clean, XDG_STATE_HOME: join(lab.root, 'state'), TERM: 'xterm' }
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
  child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ code, stdout, stderr }))
  })
}

const millrace = () => [join(root, 'src/cli/bin.ts'), 'sql', lab.checkpoint]
const piped = (input: string, ...args: readonly string[]) => ended(nodeBinary, [...millrace(), ...args], input)
const first = 'millrace> '

/** What stands on the terminal in the end. @param steps what is waited for, and what is written then */
function typed(...steps: readonly (readonly [waits: string, sends: string])[]): Promise<Ended> {
  return ended(
    'python3',
    [join(root, 'test/cli/behind-a-terminal.py'), JSON.stringify(steps), nodeBinary, ...millrace()],
    undefined,
  )
}

describe('statements end at their semicolon', () => {
  test.each<[text: string, whole: readonly string[], rest: string]>([
    ['FROM ledger;\n', ['FROM ledger'], ''],
    ['FROM ledger', [], 'FROM ledger'],
    ['SELECT 1; SELECT\n2;;\n', ['SELECT 1', 'SELECT\n2'], ''],
    [`SELECT ';' AS ";", $$;$$ -- ;\n/* ; */; FROM l`, [`SELECT ';' AS ";", $$;$$ -- ;\n/* ; */`], 'FROM l'],
    ["SELECT 'a;\nb", [], "SELECT 'a;\nb"],
    ['/* a; ', [], '/* a; '],
    ['FROM l; -- that is all\n', ['FROM l'], ''],
    ['\n', [], ''],
  ])('%j', (text, whole, rest) => {
    expect(splitStatements(text)).toEqual({ whole, rest })
  })
})

describe('the last word is completed', () => {
  const names = ['late', 'late_ab', 'ledger', 'reason']
  test.each<[line: string, hits: readonly string[], word: string]>([
    ['SELECT * FROM la', ['late', 'late_ab'], 'la'],
    ['SELECT rea', ['reason'], 'rea'],
    ['sel', ['select'], 'sel'],
    ['SEL', ['SELECT'], 'SEL'],
    ['.sch', ['.schema'], '.sch'],
    ['.schema led', ['ledger'], 'led'],
    ['FROM late WHERE ', names, ''],
  ])('%j', (line, hits, word) => {
    expect(complete(line, names, ['.help', '.schema'])).toEqual([hits, word])
  })
})

test('the history lies where XDG has state', () => {
  expect(historyFile({ XDG_STATE_HOME: '/s', HOME: '/h' })).toBe('/s/millrace/sql-history')
  expect(historyFile({ XDG_STATE_HOME: '', HOME: '/h' })).toBe('/h/.local/state/millrace/sql-history')
})

describe('without a terminal', () => {
  test('the statements are those of stdin; one that fails ends nothing, and is the exit code', async () => {
    const { code, stdout, stderr } = await piped(
      'SELECT outcome,\n  seq FROM ledger\nLIMIT 1;\n.format csv\nFROM nothing;\n.fromat json\nSELECT 1 AS a; SELECT 2 AS b',
    )
    expect(stdout).toBe('outcome  seq\n-------  ---\nread       1\na\n1\nb\n2\n')
    expect(stderr).toContain('Table with name nothing does not exist')
    expect(stderr).toContain("there is no .fromat here (did you mean '.format'?); .help lists all.")
    expect(code).toBe(2)
  })

  test('commands show views, columns and help; the format is that of the command line at first', async () => {
    const { code, stdout } = await piped('.tables\n.schema epochs\n.help\n.quit\nSELECT 1;\n', '--format', 'json')
    expect(code).toBe(0)
    expect(stdout).toContain('\nledger\n')
    expect(stdout).toContain('{"column_name":"epoch","column_type":"BIGINT"}\n')
    expect(stdout).toContain('.schema VIEW')
    expect(stdout).not.toContain('{"1":1}')
  })

  test.each(['COPY ledger TO $$x$$;', 'DROP TABLE ledger;', "FROM 'x.csv';", "SET memory_limit = '1GB';"])(
    'a statement that is no query of the checkpoint is refused: %s',
    async statement => {
      expect(await piped(statement)).toMatchObject({ code: 2, stdout: '' })
    },
  )

  test('--output is for one query', async () => {
    const { code, stderr } = await piped('SELECT 1;', '--output', join(lab.root, 'rows'))
    expect(code).toBe(2)
    expect(stderr).toContain('--output: is for one query')
  })
})

test('on a terminal it is a prompt: several lines, completion, Ctrl-C, Ctrl-D, and a history that only the user reads', {
  timeout: 300_000,
}, async () => {
  const one = await typed(
    [first, 'SELECT seq, outcome\r'],
    ['...> ', 'FROM ledg'],
    // A tab that comes with other keys is pasted, and completes nothing.
    ['ledg', '\t'],
    ['er', ' LIMIT 1;\r'],
    [' read', ''],
    [first, 'SELECT abandoned'],
    ['abandoned', '\u0003'],
    [first, 'FROM nothing;\r'],
    ['does not exist', ''],
    [first, 'SELECT 6 * 7 AS answer;\r'],
    ['42', ''],
    [first, '\u0004'],
  )
  expect(one.code, one.stdout + one.stderr).toBe(0)
  const shown = stripVTControlCharacters(one.stdout)
  expect(shown).toMatch(/seq {2}outcome\r\n-+ {2}-+\r\n +1 {2}read/)
  const file = join(lab.root, 'state/millrace/sql-history')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const lines = (await readFile(file, 'utf8')).split('\n')
  expect(lines).toEqual(['SELECT seq, outcome', 'FROM ledger LIMIT 1;', 'FROM nothing;', 'SELECT 6 * 7 AS answer;', ''])
  // The arrow brings the last line of the prompt before.
  const other = await typed([first, '\u001b[A\r'], ['42', ''], [first, '.quit\r'])
  expect(other.code, other.stdout + other.stderr).toBe(0)
})
