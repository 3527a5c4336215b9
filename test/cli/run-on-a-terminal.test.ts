import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Lab, openLab } from '../engine/harness.ts'
import { nodeBinary, root } from './child.ts'
import { emulateScreen } from './screen.ts'

let lab: Lab
let file: string
beforeEach(async () => {
  lab = await openLab()
  await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01 00:15:00' AS t, 1 AS k`)
  file = join(lab.root, 'pipeline.ts')
  await writeFile(
    file,
    `import { aggregate, count, files, filterRows, groupBy, parquet, pipeline, source, to, tumbling } from 'millrace'
export default pipeline('watched', { checkpoint: ${JSON.stringify(lab.checkpoint)} },
  source('in', { objects: ${JSON.stringify(lab.input)}, format: parquet(), columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT' },
    time: 't', watermark: { delay: '1 hour' }, reconcile: '20ms', miniBatch: { every: '10ms' } })
  .pipe(filterRows(({ k }) => { console.log('a function says: 注文 ' + k); return k !== 9n }, { version: '1' }),
    tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(${JSON.stringify(lab.output)}, { format: 'parquet' }))))
`,
  )
})
afterEach(() => lab[Symbol.asyncDispose]())

type Step = readonly [waits: string, sends: string | readonly [rows: number, columns: number]]

interface Ended {
  readonly code: number | null
  readonly written: string
}

interface OnTerminal {
  readonly ended: Promise<Ended>
  /** Resolves when the text was written to the terminal. */
  writes(text: string): Promise<void>
}

const millrace = (...args: readonly string[]) => [nodeBinary, join(root, 'src/cli/bin.ts'), ...args]

/** Runs a command behind a terminal of 50 lines and 200 columns. */
function onTerminal(
  command: readonly string[],
  steps: readonly Step[] = [],
  env: Readonly<Record<string, string>> = {},
): OnTerminal {
  // A shell's own: what the tests run under, `CI` among it, turns Node's colours off or on.
  const { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE } = process.env
  const script = join(root, 'test/cli/behind-a-terminal.py')
  const child = spawn('python3', [script, JSON.stringify(steps), ...command], {
    env: { PATH, HOME, TMPDIR, NODE_COMPILE_CACHE, TERM: 'xterm-256color', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let written = ''
  child.stdout.setEncoding('utf8').on('data', text => (written += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve({ code, written }))
  })
  return {
    ended,
    writes: text =>
      new Promise((resolve, reject) => {
        const look = () => written.includes(text) && resolve()
        child.stdout.on('data', look)
        child.on('close', () => reject(new Error(`It ended without writing '${text}': ${written}`)))
        look()
      }),
  }
}

/** What stands on the screen after so much of what was written. */
function screenAfter(written: string, columns = 200): Promise<readonly string[]> {
  const screen = emulateScreen(columns, 50)
  screen.openStream().write(written)
  return screen.lines()
}

/** What was written until lines with this text were drawn. */
function untilDrawn(written: string, text: string): string {
  const end = written.indexOf(drawn, written.lastIndexOf(text))
  return written.slice(0, end + drawn.length)
}

/** The end of what draws the lines: up to the first of them, and wrapping as it was. */
const drawn = '\u001b[1A\r\u001b[?7h'
/** Codes that move or colour; a line ends by \r\n on a terminal. */
const codes = /\u001b|\r(?!\n)/

describe('millrace run on a terminal', () => {
  test('has two lines below its log, which stays whole, and takes them away at Ctrl-C', async () => {
    const { code, written } = await onTerminal(millrace('run', file, '--no-http'), [['1 open window', '\u0003']]).ended
    expect(code, written).toBe(0)
    const live = await screenAfter(untilDrawn(written, '1 open window'))
    expect(live.slice(-2)).toEqual([
      expect.stringMatching(/^lag \d\.\d s {2}backlog \d objects? {2}\S+ rows\/s {2}[▁█]{20}$/),
      'late 0  bad 0  1 open window  next closes at 2022-01-01 01:00:00, 1 h 45 min away',
    ])
    const after = await screenAfter(written)
    expect(after.filter(line => !/^\d\d:\d\d:\d\dZ /.test(line))).toEqual(['a function says: 注文 1'])
    expect(after.at(-1)).toMatch(/ stopped after epoch 1; the checkpoint is released$/)
  })

  test('follows the size of the terminal, and takes them away when it fails', async () => {
    const { ended, writes } = onTerminal(millrace('run', file, '--no-http'), [['1 open window', [50, 40]]])
    await writes('\u001b[40G')
    await lab.parquet('b.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'x' AS k`)
    const { code, written } = await ended
    expect(code).toBe(1)
    const after = await screenAfter(written.replaceAll('\u001b[40G', '\u001b[200G'))
    expect(after.find(line => line.includes('Z FATAL '))).toMatch(/b\.parquet/)
    expect(after.filter(line => /^(lag|late) /.test(line))).toEqual([])
  })

  test('says in colour what awaits somebody; not with NO_COLOR', async () => {
    const args = millrace('run', file, '--no-http', '--until-idle')
    const [coloured, plain] = await Promise.all([
      onTerminal(args).ended,
      onTerminal([...args, '--checkpoint', join(lab.root, 'other'), '--output', join(lab.root, 'others')], [], {
        NO_COLOR: '1',
      }).ended,
    ])
    expect([coloured.code, plain.code], plain.written).toEqual([0, 0])
    const text = 'starts: the checkpoint is not claimed yet'
    expect(coloured.written).toContain(`\u001b[33m${text}\u001b[39m`)
    expect(plain.written).toContain(text)
    expect(plain.written).not.toMatch(/\u001b\[[\d;]*m/)
  })

  test.each<[name: string, more: string, env: Readonly<Record<string, string>>]>([
    ['a terminal that can do nothing', '', { TERM: 'dumb' }],
    ['--json', '--json', {}],
    ['--log json', '--log json', {}],
    ['a pipe as stdout', '| cat', {}],
    ['a pipe as stderr', '2>&1 >/dev/tty | cat', {}],
  ])('no lines with %s', async (_, more, env) => {
    const command = `"$@" ${more}`
    const { code, written } = await onTerminal(
      ['sh', '-c', command, 'sh', ...millrace('run', file, '--no-http', '--until-idle')],
      [],
      env,
    ).ended
    expect(code, written).toBe(0)
    expect(written).toContain('the checkpoint is released')
    expect(written).not.toMatch(codes)
  })
})

describe('millrace backfill on a terminal', () => {
  test('has a bar, and takes it away before its summary', async () => {
    const { code, written } = await onTerminal(millrace('backfill', file)).ended
    expect(code, written).toBe(0)
    expect(written).toContain('0/1 objects, 0 rows')
    const after = await screenAfter(written)
    expect(after[0]).toBe('a function says: 注文 1')
    expect(after.join('\n')).not.toMatch(/[░█]|\d\/1 objects/)
    expect(after.join('\n')).toContain('this run     1 object, 1 row')
  })

  test('whose functions fail leaves no bar behind', async () => {
    await lab.parquet('b.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'x' AS k`)
    const { code, written } = await onTerminal(millrace('backfill', file)).ended
    expect(code).toBe(1)
    const after = await screenAfter(written)
    expect(after.find(line => line.startsWith('millrace: '))).toMatch(/b\.parquet/)
    expect(after.join('\n')).not.toMatch(/[░█]|\d\/2 objects/)
  })

  test.each([
    ['with --json', ['--json'], {}],
    ['on a simple terminal', [], { TERM: 'dumb' }],
  ])('has none %s', async (_, more, env) => {
    const { code, written } = await onTerminal(millrace('backfill', file, ...more), [], env).ended
    expect(code, written).toBe(0)
    expect(written).not.toMatch(codes)
  })
})
