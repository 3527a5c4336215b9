import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { allCodes, errorCodes, helpOfCode } from '../../src/core/error-codes/index.ts'
import { runMillrace } from '../cli/child.ts'

/** The page as it follows from the codes. `vitest run --update` writes it. */
function page(shown: string, json: string): string {
  const groups = Object.entries(errorCodes).map(([title, codes]) => {
    const sections = Object.entries(codes).map(
      ([code, { means, todo }]) => `### ${code}\n\n${means}\n\n*What to do.* ${todo}`,
    )
    return `## ${title}\n\n${sections.join('\n\n')}`
  })
  return `${head(shown, json)}\n\n${groups.join('\n\n')}\n`
}

const pipeline = `import { aggregate, count, files, groupBy, parquet, pipeline, source, to, tumbling, where } from 'millrace'

const trips = source('trips', {
  objects: 'input',
  format: parquet(),
  columns: { at: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', fare: 'DOUBLE' },
  time: 'at',
  watermark: { delay: '1 hour' },
})

export default pipeline('fares', { checkpoint: 'checkpoint' },
  trips.pipe(
    where('far > 0'),
    tumbling('1 hour'),
    groupBy('zone'),
    aggregate({ trips: count() }),
    to(files('output', { format: 'json' })),
  ))
`

const head = (shown: string, json: string) => `# Errors

    $ millrace explain pipeline.ts
${shown.trimEnd().replaceAll(/^(?=.)/gm, '    ')}

Each error has a code, which stays the same between versions. \`millrace help CODE\` prints what this page says of it.
With \`--json\` a command that fails prints its error on stdout:

    ${json}

| Field | What it holds |
|---|---|
| \`kind\` | what can be done: \`retry\` (the same call may succeed later), \`user\` (something has to be corrected), \`fenced\` (another process took over), \`fatal\` (all else) |
| \`code\` | one of those below |
| \`message\` | what is wrong, where, and what was expected |
| \`at\` | of a mistake in a file of the pipeline: the absolute path, and line and column from 1 |

A process ends with exit code 2 after an error of kind \`user\`, with 3 after \`fenced\`, and with 1 after all others.`

test('the page tells every code that an error can have', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-errors-'))
  try {
    await writeFile(join(folder, 'pipeline.ts'), pipeline)
    const { code, stdout, stderr } = await runMillrace(['explain', 'pipeline.ts', '--json'], folder)
    const { error } = JSON.parse(stdout) as { readonly error: { readonly at: object } }
    const json = { ...error, message: '...', at: { ...error.at, file: '/app/pipeline.ts' } }
    expect(code, stderr).toBe(2)
    await expect(page(stderr, JSON.stringify({ error: json }))).toMatchFileSnapshot('../../docs/reference/errors.md')
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('each code is that of an error somewhere, and none has two places', () => {
  expect(new Set(allCodes).size).toBe(allCodes.length)
  const sources = globSync(['src/**/*.ts', 'connectors/**/*.ts', 'checkpoints/**/*.ts', 'operators/**/*.ts'])
    .filter(file => !file.startsWith('src/core/error-codes/'))
    .map(file => readFileSync(file, 'utf8'))
  for (const code of allCodes) {
    expect(
      sources.some(text => text.includes(`'${code}'`)),
      `'${code}' in the sources`,
    ).toBe(true)
    expect(helpOfCode(code)?.means).not.toBe('')
  }
})
