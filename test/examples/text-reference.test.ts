import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, runMillrace } from '../cli/child.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-text-'))
})
afterEach(() => rm(folder, { recursive: true }))

const line = (minute: string, status: number, seconds: number) =>
  `http 2018-07-02T22:${minute}:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.1:80 0.000 ${seconds} 0.000 ${status} ${status} 34 366 ` +
  '"GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn:aws:x "Root=1" "-" "-" 0 2018-07-02T22:22:48.364000Z ' +
  '"forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1'

test('the pipeline of the reference counts errors in logs of a load balancer, and sets aside what is no such line', async () => {
  const reference = await readFile(join(root, 'docs/reference/text.md'), 'utf8')
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(reference) ?? []
  await writeFile(join(folder, 'pipeline.ts'), example)
  await mkdir(join(folder, 'logs'))
  const lines = [
    line('01', 200, 0.1),
    line('02', 502, 0.5),
    line('03', 503, 1.5),
    'no line of a log',
    line('07', 500, 2),
  ]
  await writeFile(join(folder, 'logs/a.log.gz'), gzipSync(`${lines.join('\n')}\n`))
  await writeFile(join(folder, 'logs/notes.md'), 'not read')
  const { code, stdout, stderr } = await runMillrace(['backfill', 'pipeline.ts', '--json'], folder)
  expect(code, stderr).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ rows: 5, quarantinedRows: 1, ignored: 1 })
  const [file = ''] = (await readdir(join(folder, 'results'))).filter(name => name.endsWith('.jsonl'))
  const results = (await readFile(join(folder, 'results', file), 'utf8')).trimEnd().split('\n')
  expect(results.map(result => JSON.parse(result) as object)).toMatchObject([
    { window_start: '2018-07-02 22:00:00+00', elb: 'app/lb/1', errors: 2, slowest: 1.5 },
    { window_start: '2018-07-02 22:05:00+00', elb: 'app/lb/1', errors: 1, slowest: 2 },
  ])
})

test('a pattern that DuckDB does not read is refused before anything is claimed, and told of in DuckDB’s words', async () => {
  await writeFile(
    join(folder, 'pipeline.ts'),
    `import { files, pipeline, source, text, to } from 'millrace'
export default pipeline('p', { checkpoint: 'checkpoint' }, source('in', { objects: '.', format: text({ pattern: '(?P<at>a{1001})' }),
  columns: { at: 'TIMESTAMP' }, time: 'at' }).pipe(to(files('out', { format: 'json' }))))`,
  )
  for (const command of ['backfill', 'explain']) {
    const { code, stderr } = await runMillrace([command, 'pipeline.ts'], folder)
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(
        /source in: text: pattern: .* expected a regular expression of RE2; DuckDB says: .*repetition/,
      ),
    ])
  }
  expect(await readdir(folder)).not.toContain('checkpoint')
})
