import { readFile } from 'node:fs/promises'
import { parser } from '@prometheus-io/lezer-promql'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createMetrics } from '../../src/status/metrics.ts'

// The rules and the dashboard are files of other programs, and those programs say nothing of a name that there is not.

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: Readonly<Record<string, string>>
}

interface Panel {
  readonly id: number
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[]
}

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

const rules = (
  parse(await read('docker/monitoring/alerts.yaml')) as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[]
  }
).groups.flatMap(group => group.rules)
const { panels, templating } = JSON.parse(await read('docker/monitoring/grafana-dashboard.json')) as {
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string }[] }
}

/** What Prometheus itself adds to each sample. */
const given = ['job', 'instance']

/** Labels by the names of samples, those of a histogram's parts among them. */
function sampleLabels(): ReadonlyMap<string, readonly string[]> {
  const { registry } = createMetrics(
    {
      onEvent: () => {},
      onRunning: () => {},
      health: { state: 'running', isLive: true, isReady: true },
      commitAgeMs: 0,
      plan: undefined,
      measured: async () => undefined,
    },
    { pipeline: 'p', version: '1.2.3' },
    { totals: { put: 5, list: 4, get: 3, delete: 2, queue: 1 } },
  )
  const found = new Map<string, readonly string[]>([['up', given]])
  for (const { name, type } of registry.getMetricsAsArray()) {
    const { labelNames = [] } = registry.getSingleMetric(name) as unknown as { readonly labelNames?: readonly string[] }
    const all = [...given, ...labelNames]
    if (String(type) !== 'histogram') found.set(name, all)
    else for (const part of ['sum', 'count', 'bucket']) found.set(`${name}_${part}`, [...all, 'le'])
  }
  return found
}
const labelsOf = sampleLabels()

/** What an expression names, by the parser of Prometheus' own editor. */
function named(written: string) {
  const expr = written.replaceAll('$__rate_interval', '5m')
  const seen = { errors: [] as string[], metrics: [] as string[], labels: [] as string[] }
  parser.parse(expr).iterate({
    enter({ name, type, from, to }) {
      const text = expr.slice(from, to)
      if (type.isError) seen.errors.push(`${from}: ${expr.slice(Math.max(0, from - 20), to + 20)}`)
      if (name === 'Identifier') seen.metrics.push(text)
      if (name === 'LabelName') seen.labels.push(text)
    },
  })
  return seen
}

function expectReal(expr: string, where: string): readonly string[] {
  const { errors, metrics, labels } = named(expr)
  expect(errors, where).toEqual([])
  expect(metrics.length, where).toBeGreaterThan(0)
  for (const metric of metrics) expect([...labelsOf.keys()], where).toContain(metric)
  const known = metrics.flatMap(metric => labelsOf.get(metric) ?? [])
  for (const label of labels) expect(known, where).toContain(label)
  // What an aggregation leaves.
  const kept =
    expr.includes('by (') || /^(max|min|sum)\(/.test(expr) ? [...expr.matchAll(/by \(([^)]*)\)/g)] : undefined
  return kept ? kept.flatMap(([, list = '']) => list.split(', ')) : known
}

test('a name, a label and a sentence that are none are found out', () => {
  expect(named('sum by (flow) (rate(millrace_rows_total{job="a"}[5m]))')).toEqual({
    errors: [],
    metrics: ['millrace_rows_total'],
    labels: ['flow', 'job'],
  })
  expect(named('sum(rate(millrace_rows_total[5m])').errors).not.toEqual([])
  expect(labelsOf.get('millrace_epoch_duration_seconds_bucket')).toContain('le')
  expect(labelsOf.get('millrace_sink_lag_epochs')).toContain('flow')
})

describe('alert rules', () => {
  test.each(rules)('$alert asks for what is measured, and tells labels that are there', rule => {
    const labels = expectReal(rule.expr, rule.alert)
    expect(['warning', 'critical']).toContain(rule.labels.severity)
    for (const text of [rule.annotations.summary, rule.annotations.description]) {
      expect(text).toMatch(/[.]$/)
      for (const [, label] of String(text).matchAll(/\$labels\.(\w+)/g)) expect(labels).toContain(label)
    }
  })

  test('the guide tells each of them, and no others', async () => {
    const page = await read('docs/guides/monitoring.md')
    const told = [...page.matchAll(/^\| `(Millrace\w+)` \|/gm)].map(([, name]) => name)
    expect(told).toEqual(rules.map(({ alert }) => alert))
  })
})

describe('the dashboard', () => {
  test.each(panels)('$title asks for what is measured', ({ title, targets }) => {
    for (const { expr, legendFormat } of targets) {
      const labels = expectReal(expr, title)
      expect(expr).toContain('job="$job"')
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(labels, title).toContain(label)
    }
  })

  test('its panels have their own places, and its variables are there', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(templating.list.map(({ name }) => name)).toEqual(['datasource', 'job'])
  })
})
