/**
 * Every command that a page shows is read by bash, and judged word by word: those of millrace by the command line's own
 * parser, others by what they name in this repository or on their page.
 */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as s3 from '@aws-sdk/client-s3'
import * as sqs from '@aws-sdk/client-sqs'
import { afterAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { backfillOptionsOf } from '../../src/cli/commands/backfill.ts'
import { commands } from '../../src/cli/main.ts'
import { flagName, readArguments } from '../../src/cli/options.ts'
import { root } from '../cli/child.ts'
import { allBlocks, type Block, pagePaths, readPage } from './pages.ts'
import { openShell } from './shell.ts'
import { servedPaths } from './served-paths.ts'

type Words = readonly string[]
/** Throws where a command does not carry; `page` is the text around it. */
type Judge = (words: Words, page: string) => void | Promise<void>

const { version, scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly scripts: Readonly<Record<string, string>>
}
const isThere = async (path: string) => expect((await stat(join(root, path))).isFile(), path).toBe(true)

const millrace: Judge = ([name = '', ...rest]) => {
  const command = commands.find(each => each.name === name)
  if (!command) throw new Error(`millrace has no command ${name}`)
  const given = readArguments(command.name, command.options, rest)
  if (name === 'backfill') backfillOptionsOf(given)
}

const npx: Judge = ([name, ...rest], page) => {
  if (name === 'millrace') return millrace(rest, page)
  expect([name, ...rest]).toEqual(['vitest', 'run'])
}

const npm: Judge = ([name = '', ...rest], page) => {
  if (name === 'run') {
    const [script = '', dashes, ...given] = rest
    expect(Object.keys(scripts)).toContain(script)
    if (script === 'millrace') return millrace(given, page)
    expect([dashes, ...given]).toEqual([undefined])
  } else if (name === 'install') {
    for (const tarball of rest.filter(word => word.endsWith('.tgz')))
      expect(tarball).toBe(`../millrace/millrace-${version}.tgz`)
  } else expect(['ci', 'pack', 'init', 'test']).toContain(name)
}

/** Options of `docker run`, and whether a value follows. */
const runOptions: Readonly<Record<string, boolean>> = {
  '--rm': false,
  '-d': false,
  '--read-only': false,
  '--name': true,
  '--user': true,
  '--stop-timeout': true,
  '--restart': true,
  '-v': true,
  '-e': true,
}

const dockerRun: Judge = ([first = '', ...rest], page) => {
  if (first === 'millrace') return millrace(rest, page)
  expect(Object.keys(runOptions)).toContain(first)
  return dockerRun(runOptions[first] ? rest.slice(1) : rest, page)
}

const compose: Judge = async ([option, file = '', name = '', ...rest], page) => {
  expect(option).toBe('-f')
  const { services } = parse(await readFile(join(root, file), 'utf8')) as { readonly services: object }
  if (name !== 'exec') return expect(['up', 'down']).toContain(name)
  const [service = '', program, ...given] = rest
  expect(Object.keys(services)).toContain(service)
  expect(program).toBe('millrace')
  return millrace(given, page)
}

const docker: Judge = async ([name = '', ...rest], page) => {
  if (name === 'run') return dockerRun(rest, page)
  if (name === 'compose') return compose(rest, page)
  if (name === 'build') {
    expect(rest).toEqual(['-f', 'docker/Dockerfile', '-t', 'millrace', '.'])
    return isThere('docker/Dockerfile')
  }
  expect(['logs', 'stop', 'start']).toContain(name)
  expect(page).toContain(`--name ${rest.at(-1)} `)
}

/** Of a manifest on the same page. */
const kubectl: Judge = ([name, ...rest], page) => {
  if (name === 'apply') return expect(rest[0]).toBe('-f')
  const [what, named, from] = rest
  expect(name).toBe('create')
  if (what === 'serviceaccount') return expect(page).toContain(`serviceAccountName: ${named} `)
  expect(what).toBe('configmap')
  expect(page).toContain(`configMap: { name: ${named} }`)
  expect(page).toMatch(new RegExp(`args: \\[run, /\\w+/${from?.replace('--from-file=', '')},`))
}

/** Its operations are those of the SDK, and what it is given as JSON is JSON, inside and out. */
const aws: Judge = words => {
  const [service, operation = '', ...rest] = words[0] === '--endpoint-url' ? words.slice(2) : words
  if (service === 's3') return expect(operation).toBe('cp')
  const pascal = operation.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())
  expect(Object.keys({ sqs, s3api: s3 }[service ?? ''] ?? {})).toContain(`${pascal}Command`)
  const inside = (text: string) => {
    for (const value of Object.values(JSON.parse(text) as object))
      if (typeof value === 'string' && value.startsWith('{')) inside(value)
  }
  for (const word of rest) if (word.startsWith('{')) inside(word)
}

const curl: Judge = async words => {
  expect(await servedPaths()).toContain(new URL(words.at(-1) as string).pathname)
}

/** The topic of the page's pipeline. */
const kafkaTopics: Judge = (words, page) => {
  expect(page).toContain(`topic: '${words[words.indexOf('--topic') + 1]}'`)
}

/** Its variables are those by which docker/compose.yaml tells it of Kafka. */
const minio: Judge = async (_, page) => {
  const known = await readFile(join(root, 'docker/compose.yaml'), 'utf8')
  for (const [name] of page.matchAll(/MINIO_\w+/g)) expect(known).toContain(`${name}:`)
}

/** What is started by another program. */
const started: Judge = (words, page) => {
  const at = words.findIndex(word => word.endsWith('/millrace'))
  expect(at).toBeGreaterThan(0)
  return millrace(words.slice(at + 1), page)
}

/** Programs that know nothing of millrace: bash has read their line, and that is all. */
const plain: Judge = () => {}

const programs: Readonly<Record<string, Judge>> = {
  millrace,
  npx,
  npm,
  docker,
  kubectl,
  aws,
  curl,
  minio,
  'kafka-topics.sh': kafkaTopics,
  flock: started,
  cd: plain,
  mkdir: plain,
  mv: plain,
  echo: plain,
  ls: plain,
  id: plain,
  duckdb: plain,
}

/** Begins as a command does: a prompt, variables, a word. */
const command = /^(?:\$ )?(?:[A-Z]+=\S+ )*([a-z][\w./-]*)(?: |$)/
const ofCron = /^(?:[\d*/]+ +){5}/

const isCommands = ({ language, code }: Block) =>
  language === 'sh' ||
  (language === 'indented' && (ofCron.test(code) || Object.hasOwn(programs, command.exec(code)?.[1] ?? '')))

/** Of a block with a prompt only what follows one is typed. A backslash at the end of a line goes on. */
function typed(code: string): string {
  const lines = code.replace(ofCron, '')
  return lines.startsWith('$ ')
    ? [...lines.matchAll(/^\$ (.*(?:\\\n.*)*)/gm)].map(([, line]) => line).join('\n')
    : lines
}

const all = await allBlocks()
const shell = await openShell(Object.keys(programs))
afterAll(() => shell[Symbol.asyncDispose]())

const found = all.filter(isCommands).map(block => ({ ...block, name: `${block.page}:${block.line}` }))

test.each(found)('$name', async ({ page, code }) => {
  const text = await readPage(page)
  const commandsFound = await shell.commandsOf(typed(code))
  expect(commandsFound.length).toBeGreaterThan(0)
  for (const [program = '', ...words] of commandsFound) await programs[program]?.(words, text)
})

test('blocks that begin like a command and are none are known', () => {
  expect(found.length).toBeGreaterThan(45)
  const others = all.filter(block => block.language === 'indented' && command.test(block.code) && !isCommands(block))
  expect(others.map(({ page, code }) => [page, code.split(' ', 1)[0]?.trim()])).toEqual(notCommands)
})
/** Pictures, what was printed, and code: each by the word that it begins with. */
const notCommands = [
  ['ARCHITECTURE.md', 'list'],
  ['ARCHITECTURE.md', 'listing'],
  ['ARCHITECTURE.md', 'src/core'],
  ['CONTRIBUTING.md', 'src/core'],
  ['docs/decisions/0010-ranged-reads-and-page-checksums.md', 'object'],
  ['docs/guides/columns.md', 'new'],
  ['docs/guides/global.md', 'held'],
  ['docs/guides/sessions.md', 'ann'],
  ['docs/guides/several-sources.md', 'payments'],
  ['docs/guides/steps-in-a-row.md', 'came'],
  ['docs/guides/unnest.md', 'object'],
  ['docs/guides/without-event-time.md', 'windows'],
  ['docs/internals/formats/head.md', 'millrace-head/1'],
  ['docs/internals/semantics.md', 'entry'],
  ['docs/internals/semantics.md', 'window'],
  ['docs/internals/semantics.md', 'g'],
  ['docs/reference/operators.md', 'import'],
  ['docs/reference/operators.md', 'const'],
  ['docs/reference/operators.md', 'const'],
]

const prose = (
  await Promise.all((await pagePaths()).map(async page => ({ page, text: await readPage(page) })))
).flatMap(({ page, text }) =>
  [...text.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => ({ page, code })),
)

test('commands in a sentence are commands of millrace, and so are their options', async () => {
  const asked = prose.filter(({ code }) => /^(?:npx )?millrace [a-z]/.test(code))
  expect(asked.length).toBeGreaterThan(80)
  const wrong: string[] = []
  for (const { page, code } of asked) {
    // What can be typed, the rest being 'sql CHECKPOINT' or 'run --until-idle'.
    if (code.startsWith('npx ')) {
      const [[, ...words] = []] = await shell.commandsOf(code)
      await npx(words, page)
    }
    const [, name = ''] = /millrace ([a-z-]+)/.exec(code) ?? []
    if (name === 'help') continue
    const options = commands.find(each => each.name === name)?.options
    const known = Object.keys(options ?? {}).map(each => `--${flagName(each)}`)
    const unknown = (code.match(/--[a-z][a-z-]*/g) ?? []).filter(option => !known.includes(option))
    if (!options || unknown.length > 0) wrong.push(`${page}: ${code}`)
  }
  expect(wrong).toEqual([])
})

test('options in a sentence are those of a command, or known to be those of another program', () => {
  const ofCommands = commands.flatMap(({ options }) => Object.keys(options).map(flagName))
  const known = new Set(['help', 'version', ...ofCommands])
  const unknown = prose.flatMap(({ page, code }) => {
    const [, option = ''] = /^--([a-z][a-z-]*)/.exec(code) ?? []
    return option === '' || known.has(option) ? [] : [`${page}: ${option}`]
  })
  expect([...new Set(unknown)]).toEqual([
    // Of versitygw.
    'CHANGELOG.md: sidecar',
    'docs/decisions/0008-a-store-is-probed-by-races.md: sidecar',
    ...['user', 'cap-drop', 'rm', 'tmpfs', 'cpus', 'init', 'build-arg', 'profile'].map(
      option => `docs/guides/docker.md: ${option}`,
    ),
    'docs/guides/follow-a-bucket-with-kafka.md: endpoint-url',
    'docs/reference/s3.md: sidecar',
    'docs/start/docker.md: user',
  ])
})
