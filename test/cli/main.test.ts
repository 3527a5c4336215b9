import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { prepareFolder } from '../../src/cli/commands/demo.ts'
import { describeError } from '../../src/cli/error-text.ts'
import { main } from '../../src/cli/main.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { root, runMillrace, startNode } from './child.ts'
import { recordingTerminal } from './recorder.ts'

async function run(line: string) {
  const terminal = recordingTerminal()
  const code = await main(
    line.split(' ').filter(word => word !== ''),
    terminal,
  )
  return { code, stdout: terminal.stdout, stderr: terminal.stderr }
}

describe('the command line', () => {
  test('lists its commands', async () => {
    const { code, stdout } = await run('--help')
    expect(code).toBe(0)
    expect(stdout).toMatchSnapshot()
  })

  test.each(['backfill', 'demo', 'inspect'])('%s --help tells its options', async name => {
    const { code, stdout, stderr } = await run(`${name} --help`)
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toMatchSnapshot()
  })

  test('--version is the package version', async () => {
    const { version } = (await import('../../package.json', { with: { type: 'json' } })).default
    expect(await run('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test.each([
    ['', 'Usage: millrace COMMAND'],
    ['bakfill p.ts', "millrace: unknown command bakfill; did you mean backfill? See 'millrace --help'.\n"],
    ['frobnicate', "millrace: unknown command frobnicate. See 'millrace --help'.\n"],
    ['--versoin', 'millrace: unknown option --versoin; did you mean --version?'],
    ['doctor', 'millrace: doctor: PIPELINE.ts is missing; expected a pipeline file'],
    ['inspect', 'millrace: inspect: CHECKPOINT is missing; expected the folder or address of a checkpoint'],
    ['inspect a b', "millrace: inspect: found 'b' after 'a'; expected millrace inspect CHECKPOINT [OPTIONS]."],
    ['demo here', "millrace: demo: found 'here' where no argument is; expected millrace demo [OPTIONS]."],
    ['demo --rows 3', "millrace: demo: --rows: '3' is not valid; expected a whole number from 1000 to"],
    ['backfill --memory lots p.ts', "millrace: backfill: --memory: 'lots' is not valid"],
  ])("'%s' exits 2 and says why on stderr", async (line, message) => {
    const { code, stdout, stderr } = await run(line)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })

  test('with --json the error is on stdout as well, for scripts', async () => {
    const { code, stdout, stderr } = await run('backfill none.ts --json')
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('none.ts: does not exist') })
    expect(JSON.parse(stdout)).toEqual({
      error: { kind: 'user', code: 'pipeline-file', message: expect.stringContaining('none.ts: does not exist') },
    })
    expect((await run('backfill none.ts -- --json')).stdout).toBe('')
  })
})

describe('help', () => {
  test('of a command is its own, and of a code says what it means', async () => {
    expect(await run('help inspect')).toEqual(await run('inspect --help'))
    const { code, stdout } = await run('help fenced')
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^fenced: Another process claimed/) })
  })

  test('of what is neither names the nearest', async () => {
    const { code, stderr } = await run('help plan-change')
    expect(code).toBe(2)
    expect(stderr).toContain("is called plan-change; did you mean plan-changed? See 'millrace --help'.")
  })
})

describe('a mistake in a pipeline', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-test-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  const file = (objects: string) => `import { files, json, pipeline, source, to } from 'millrace'
const secretKey = 'do-not-show-me'
export default pipeline('p', { checkpoint: 'checkpoint' },
  source('s', ${objects}, format: json(), columns: { a: 'BIGNT' } }).pipe(to(files('out'))))
`

  test('is shown in a frame of its file, without what may be a secret, and has its place in JSON', async () => {
    await writeFile(join(dir, 'pipeline.ts'), file("{ objects: 'input'"))
    const { code, stdout, stderr } = await runMillrace(['explain', 'pipeline.ts', '--json'], dir)
    expect(code, stderr).toBe(2)
    expect(stderr).toContain("> 4 |   source('s', { objects: 'input', format: json(), columns")
    expect(stderr).toMatch(/\n +\| {3}\^\n/)
    expect(stderr).toContain("const secretKey = '**************'")
    expect(stdout + stderr).not.toContain('do-not-show-me')
    expect(JSON.parse(stdout)).toMatchObject({
      error: { kind: 'user', at: { file: join(dir, 'pipeline.ts'), line: 4, column: 3 } },
    })
  })

  test('whose file is gone meanwhile, or is one long line, is told without a frame', () => {
    const at = { file: join(dir, 'gone.ts'), line: 1, column: 1 }
    expect(describeError(new MillraceError('user', 'plan', 'Wrong.', undefined, at))).toMatch(
      /gone[.]ts:1:1: Wrong[.]\n'millrace help plan' tells more[.]$/,
    )
  })
})

describe('the bin', () => {
  test('an error is one line, and where to read more; MILLRACE_DEBUG=1 adds the stack', async () => {
    const plain = await runMillrace(['backfill', 'none.ts'])
    expect(plain).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'millrace: none.ts: does not exist; expected a TypeScript, JavaScript or SQL file, such as pipeline.ts.\n' +
        "'millrace help pipeline-file' tells more.\n",
    })
    const debug = await runMillrace(['backfill', 'none.ts'], root, { MILLRACE_DEBUG: '1' })
    expect(debug.stderr).toMatch(/none\.ts: does not exist[^]*\n {4}at loadPipeline/)
  })

  // The version is replaced before the bin starts: it must say so before it loads anything else.
  test.each(['20.20.2', '22.21.9', '18.0.0'])('Node %s is refused with what to install', async version => {
    const old = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
    const { code, stderr } = await startNode([
      '--import',
      `data:text/javascript,${encodeURIComponent(old)}`,
      'src/cli/bin.ts',
      '--help',
    ]).ended
    expect(code).toBe(2)
    const { engines } = (await import('../../package.json', { with: { type: 'json' } })).default
    expect(engines.node).toBe('>=22.22')
    expect(stderr).toContain(`Node ${version} is too old; expected 22.22 or later`)
    expect(stderr).toContain("'npm i -D node@24'")
  })
})

describe('the demo folder', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'millrace-test-'))
  })
  afterEach(() => rm(dir, { recursive: true }))

  test('a new folder is made', async () => {
    await prepareFolder(join(dir, 'a/b'), recordingTerminal())
    expect(await readdir(join(dir, 'a/b'))).toEqual(['.millrace-demo'])
  })

  test('a folder with other things, or a file, is refused', async () => {
    await writeFile(join(dir, 'thesis.txt'), 'mine')
    const refused = { kind: 'user', message: expect.stringContaining('expected a new or empty folder') }
    await expect(prepareFolder(dir, recordingTerminal())).rejects.toMatchObject(refused)
    await expect(prepareFolder(join(dir, 'thesis.txt'), recordingTerminal())).rejects.toMatchObject({ kind: 'user' })
    expect(await readdir(dir)).toEqual(['thesis.txt'])
  })

  test('a former demo is replaced, saying so; what is not of the demo stays', async () => {
    const terminal = recordingTerminal()
    await prepareFolder(dir, terminal)
    await mkdir(join(dir, 'checkpoint'))
    await writeFile(join(dir, 'pipeline.ts'), '')
    await writeFile(join(dir, 'notes.txt'), 'mine')
    await prepareFolder(dir, terminal)
    expect(terminal.stderr).toBe(`Replacing the former demo in ${dir}\n`)
    expect(await readdir(dir)).toEqual(['.millrace-demo', 'notes.txt'])
  })
})
