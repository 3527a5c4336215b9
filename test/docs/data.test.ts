/** Blocks of JSON, YAML and CSV: they are read by a reader of their own, and those of Kubernetes by what it takes. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse as parseCsv } from 'csv-parse/sync'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { commands } from '../../src/cli/main.ts'
import { readArguments } from '../../src/cli/options.ts'
import { root } from '../cli/child.ts'
import { compile } from '../types/compile.ts'
import { allBlocks } from './pages.ts'
import { servedPaths } from './served-paths.ts'

const all = await allBlocks()
const of = (language: string) =>
  all.filter(block => block.language === language).map(block => ({ ...block, name: `${block.page}:${block.line}` }))

/** Another test reads these. */
const readElsewhere = ['ts', 'sql', 'sh', 'indented']

/** No file of a reader's own: what is printed, and another system's words for what millrace does. */
const notRead = [
  'docs/coming-from/kafka-streams.md: java',
  'docs/coming-from/spark-structured-streaming.md: python',
  'docs/coming-from/your-own-consumer.md: js',
]

test('each block says what it holds, and is read by a test, or is known to be read by none', () => {
  const read = [...readElsewhere, 'json', 'yaml', 'csv', 'text']
  const others = all.filter(({ language }) => !read.includes(language))
  expect(others.map(({ page, language }) => `${page}: ${language}`)).toEqual(notRead)
})

describe.each(of('json'))('$name', ({ code }) => {
  test('is JSON, as a whole or line by line', () => {
    const isWhole = code.startsWith('{\n') || code.startsWith('[\n')
    for (const text of isWhole ? [code] : code.trim().split('\n')) expect(JSON.parse(text)).toBeTypeOf('object')
  })
})

test.each(of('csv'))('$name has as many fields in each line', ({ code }) => {
  expect((parseCsv(code) as readonly unknown[]).length).toBeGreaterThan(1)
})

/** What tells Kubernetes of a pod, wherever it stands in a manifest. */
interface PodSpec {
  readonly terminationGracePeriodSeconds?: number
  readonly containers: readonly {
    readonly name: string
    readonly image?: string
    readonly args: readonly string[]
    readonly ports?: readonly { readonly containerPort: number }[]
    readonly livenessProbe?: Probe
    readonly readinessProbe?: Probe
    readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
  }[]
  readonly volumes?: readonly { readonly name: string }[]
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number }
}
interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly spec: {
    readonly selector?: { readonly matchLabels: object }
    readonly template?: { readonly metadata: { readonly labels: object }; readonly spec: PodSpec }
    readonly jobTemplate?: { readonly spec: { readonly template: { readonly spec: PodSpec } } }
  }
}
const isManifest = (value: object): value is Manifest => 'apiVersion' in value

const yaml = of('yaml').map(block => ({ ...block, value: parse(block.code, { strict: true }) as object }))
const manifests = yaml.flatMap(({ value, ...block }) => (isManifest(value) ? [{ ...block, value }] : []))

test('YAML is of Kubernetes, of Prometheus, or known to be of another system', () => {
  const others = yaml.filter(({ value }) => !isManifest(value) && !('scrape_configs' in value))
  expect(others.map(({ page }) => page)).toEqual(['docs/coming-from/vector-and-redpanda-connect.md'])
})

test.each(yaml.filter(({ value }) => 'scrape_configs' in value))('$name: Prometheus asks who is there', async block => {
  const { scrape_configs: jobs, rule_files: files } = block.value as {
    readonly scrape_configs: readonly { readonly static_configs: readonly { readonly targets: readonly string[] }[] }[]
    readonly rule_files: readonly string[]
  }
  const page = all.filter(each => each.page === block.page && each.language === 'sh')
  for (const target of jobs.flatMap(job => job.static_configs.flatMap(({ targets }) => targets))) {
    const [host = '', port = ''] = target.split(':')
    expect(page.map(({ code }) => code).join()).toMatch(
      new RegExp(`--http 0\\.0\\.0\\.0:${port} --http-host ${host}\\n`),
    )
  }
  for (const file of files) expect(await readFile(join(root, 'docker/monitoring', file), 'utf8')).not.toBe('')
})

test('manifests have the fields and types that Kubernetes knows', () => {
  expect(manifests.map(({ value }) => value.kind)).toEqual(['Deployment', 'CronJob'])
  const name = (index: number) => join(root, 'test/docs', `manifest-${index}.ts`)
  const found = compile(
    Object.fromEntries(
      manifests.map(({ value }, index) => [
        name(index),
        // A literal: what the type does not know is refused, also where it is optional.
        `import type { ${value.kind} } from 'kubernetes-types/${value.apiVersion}'\n` +
          `const manifest: ${value.kind} = ${JSON.stringify(value, undefined, 2)}\nvoid manifest\n`,
      ]),
    ),
  )
  const wrong = manifests.flatMap(({ page }, index) =>
    (found.get(name(index)) ?? []).map(({ message }) => `${page}: ${message}`),
  )
  expect(wrong).toEqual([])
})

const run = commands.find(({ name }) => name === 'run')

describe.each(manifests)('$name', ({ value }) => {
  const {
    spec: { selector, template, jobTemplate },
  } = value
  const pod = (template ?? jobTemplate?.spec.template)?.spec as PodSpec
  const [container] = pod.containers
  const given = readArguments('run', run?.options ?? {}, container?.args.slice(1) ?? [])

  test('runs millrace with arguments that it takes, from a file that is mounted', () => {
    expect([pod.containers.length, container?.image, container?.args[0]]).toEqual([1, 'millrace', 'run'])
    const mounted = container?.volumeMounts?.map(({ mountPath }) => mountPath) ?? []
    expect(mounted.filter(path => given.file.startsWith(`${path}/`))).toHaveLength(1)
    // What is fetched and spilt; the image's own TMPDIR.
    expect(mounted).toContain('/scratch')
    expect(container?.volumeMounts?.map(({ name }) => name)).toEqual(pod.volumes?.map(({ name }) => name))
  })

  test('probes ask for what is served, where it is served', async () => {
    const probes = [container?.livenessProbe, container?.readinessProbe].flatMap(probe =>
      probe ? [probe.httpGet] : [],
    )
    // A run that ends by itself is asked nothing.
    expect(probes.map(({ path }) => path)).toEqual(given.untilIdle ? [] : ['/healthz', '/readyz'])
    expect(await servedPaths()).toEqual(expect.arrayContaining(probes.map(({ path }) => path)))
    const ports = [...probes.map(({ port }) => port), ...(container?.ports ?? []).map(each => each.containerPort)]
    for (const port of ports) expect(given.http).toEqual({ host: '0.0.0.0', port })
  })

  test('leaves time to drain, and selects its own pods', () => {
    // Kubernetes' own patience, where none is said.
    expect(pod.terminationGracePeriodSeconds ?? 30).toBeGreaterThan(run?.options.drainSeconds.default)
    expect(template?.metadata.labels ?? {}).toEqual(selector?.matchLabels ?? {})
  })
})
