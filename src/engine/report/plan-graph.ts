import { durationInWords } from '../../core/duration.ts'
import { type Json, plainJson } from '../../core/json.ts'
import type { LookupDefinition } from '../../plan/lookup.ts'
import type { Terminal } from '../../plan/mini-batch.ts'
import { chain, foldStep, type PlanNode, sourceSettings } from '../../plan/node.ts'
import { showCounted } from '../../core/quantity.ts'
import { flowName, type StepIds } from '../../plan/plan-ids.ts'
import { type ColumnTypes, columnsTold } from '../../plan/relation.ts'
import { sinkOptions } from '../../plan/sink.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { asksForChanges, endColumns } from '../../plan/updates.ts'
import { afterText } from './after-text.ts'
import {
  type GraphScan,
  type GraphState,
  type HeldFigures,
  holdsOf,
  holdsTold,
  scanOf,
  scanTold,
} from './graph-figures.ts'

/**
 * A plan as a picture has it: plain data, each part of it once, however many flows go through it. What is told is for
 * people; keys, names and expressions in it are as users wrote them, so whoever draws it escapes them.
 */
export interface PlanGraph {
  /** Each node after those that feed it: sources first, then steps, the ends of flows last. */
  readonly nodes: readonly GraphNode[]
  /** By the node that they lead to, in the order of its inputs. */
  readonly edges: readonly GraphEdge[]
}

export interface GraphNode {
  /** Of a step its id in the checkpoint, which names its state; else its kind and name, such as 'source trips'. */
  readonly id: string
  readonly kind: GraphKind
  /** The operator, 'source', 'lookup', or 'to'. */
  readonly op: string
  /** Of a source, a lookup and a flow's end. */
  readonly name: string | null
  /** What a person is told of it; the first line stands behind its operator. */
  readonly tells: readonly string[]
  /** The flows that go through it. */
  readonly flows: readonly string[]
  /** What it gives; of the end of a flow what its sink gets. */
  readonly columns: ColumnTypes
  readonly options: Json
  /** What the checkpoint holds of a step with state; null of others, and where no checkpoint was read. */
  readonly holds: GraphState | null
  /** How a source reads its objects; null of other nodes. */
  readonly reads: GraphScan | null
}

/**
 * `state`: a step that keeps state in the checkpoint. `late`, `quarantine`: a flow begins with rows that were set
 * aside. `kept`: where they lie in the checkpoint, whether a flow takes them or not. `sink`: the end of a flow, `rows`
 * and `batches` too.
 */
export type GraphKind =
  | 'source'
  | 'lookup'
  | 'stateless'
  | 'function'
  | 'window'
  | 'group'
  | 'state'
  | 'union'
  | 'late'
  | 'quarantine'
  | 'kept'
  | 'sink'

export interface GraphEdge {
  readonly from: string
  readonly to: string
  readonly carries: 'rows' | 'late rows' | 'bad rows' | 'versions'
  /** Of a step with several inputs which one it is: 'left', 'right', '1', '2'. */
  readonly side: string | null
}

/** What a graph is made of. */
export interface Described {
  readonly pipeline: string
  readonly definitions: readonly SourceDefinition[]
  readonly lookups: readonly LookupDefinition[]
  readonly terminals: readonly Terminal[]
  /** Of the steps of each flow, as a checkpoint has them. */
  readonly ids: readonly StepIds[]
  /** Names of sources whose formats fetch columns alone. */
  readonly byColumns: ReadonlySet<string>
  /** Absent where no checkpoint was read. */
  readonly held?: HeldFigures
}

/** The graph of a pipeline's flows. Pure: it asks nothing of the outside. */
export function planGraph(described: Described): PlanGraph {
  const { definitions, lookups, terminals, held } = described
  const steps = new Map<string, Step>()
  for (const [index, { node: end }] of terminals.entries()) {
    const ids = described.ids[index] as StepIds
    for (const node of chain(end)) {
      const id = ids.get(node) as string
      const step = steps.get(id)
      if (step) step.flows.push(flowName(index))
      else
        steps.set(id, {
          id,
          node,
          flows: [flowName(index)],
          inputs: node.inputs.map(input => ids.get(input) as string),
        })
    }
  }
  const all = [...steps.values()]
  const sources = all.filter(({ node }) => node.step.is === 'source')
  const others = all.filter(({ node }) => node.step.is !== 'source')
  const kept = all.flatMap(keptOf(definitions))
  const ends = terminals.map(endNode)
  return {
    nodes: [
      ...sources.map(step => sourceNode(step, described)),
      ...lookups.map(lookup => lookupNode(lookup, others)),
      ...others.map(step => stepNode(step, held)),
      ...kept.map(({ node }) => node),
      ...ends,
    ],
    edges: [
      ...others.flatMap(stepEdges),
      ...kept.map(({ edge }) => edge),
      ...terminals.map(
        ({ node }, index): GraphEdge => ({
          from: described.ids[index]?.get(node) as string,
          to: endId(index),
          carries: 'rows',
          side: null,
        }),
      ),
    ],
  }
}

/** A step of the plan, of all flows that go through it. */
interface Step {
  readonly id: string
  readonly node: PlanNode
  readonly flows: string[]
  readonly inputs: readonly string[]
}

function stepNode({ id, node, flows }: Step, held: HeldFigures | undefined): GraphNode {
  const { op, step, options, columns } = node
  const kind =
    step.is === 'stateful' ? 'state' : step.is === 'aside' ? step.op : step.is === 'lookup' ? 'stateless' : step.is
  const holds = held && kind === 'state' ? holdsOf(id, held) : null
  const tells = [...told(node), ...(holds ? [holdsTold(holds)] : [])]
  return { id, kind, op, name: null, tells, flows, columns, options, holds, reads: null }
}

/** The step in words: 'where fare > 0'. */
export function stepTold(node: PlanNode): string {
  const [first = ''] = told(node)
  return first === '' ? node.op : `${node.op} ${first}`
}

/** What a step does. Of what does not tell it, its options by their names. */
function told({ step, options }: PlanNode): readonly string[] {
  if ('tells' in step && step.tells) return step.tells(options as never)
  const text = optionsTold(options)
  return text === '' ? [] : [text]
}

/** `format parquet, partitionBy (month window_start)` */
function optionsTold(options: Json): string {
  return Object.entries(options as Readonly<Record<string, Json>>)
    .map(([name, value]) => `${name} ${valueTold(value)}`)
    .join(', ')
}

function valueTold(value: Json): string {
  if (value === null || typeof value !== 'object') return String(value)
  return `(${Array.isArray(value) ? value.map(valueTold).join(', ') : optionsTold(value)})`
}

function stepEdges({ id, node, inputs }: Step): readonly GraphEdge[] {
  const { step, options } = node
  const from = (source: string, carries: GraphEdge['carries'], side: string | null = null): GraphEdge => ({
    from: source,
    to: id,
    carries,
    side,
  })
  const [first = ''] = inputs
  if (step.is === 'aside')
    return step.op === 'late'
      ? [from(first, 'late rows', (options as { readonly side?: string }).side ?? null)]
      : [from(first, 'bad rows')]
  const sides = sidesOf(node)
  const rows = inputs.map((input, index) => from(input, 'rows', sides[index] ?? null))
  return step.is === 'lookup' ? [...rows, from(lookupId(step.lookup), 'versions')] : rows
}

/** The names of a step's inputs where it has several. */
function sidesOf({ inputs, step, options }: PlanNode): readonly string[] {
  if (inputs.length < 2) return []
  const ports = step.is === 'stateful' ? foldStep(inputs, step, options as never).ports : undefined
  return ports ?? inputs.map((_, index) => String(index + 1))
}

function sourceNode({ id, node, flows }: Step, { definitions, pipeline, byColumns, held }: Described): GraphNode {
  const settings = sourceSettings(node)
  const definition = definitions.find(({ settings: own }) => own.name === settings.name)
  const after = definition && afterText(definition.after, pipeline)
  const reads = scanOf(settings, byColumns, held)
  const watermark = held?.watermarks[settings.name]
  return {
    id,
    kind: 'source',
    op: 'source',
    name: settings.name,
    tells: [
      `${settings.format}${definition ? ` from ${definition.objects}` : ''}`,
      ...timeTold(settings),
      ...(watermark ? [`watermark ${watermark}, as of epoch ${held?.epoch}`] : []),
      ...columnsRead(settings, reads),
      scanTold(reads),
      ...(definition?.notifications ? [`announced by ${definition.notifications.notifications}`] : []),
      ...(after === undefined ? [] : [after]),
    ],
    flows,
    columns: node.columns,
    options: node.options,
    holds: null,
    reads,
  }
}

function timeTold({ time, delayUs, bounds, mark }: SourceSettings): readonly string[] {
  if (time === undefined) return ['no event time']
  const behind =
    delayUs === undefined ? 'no watermark before the end of its input' : `the watermark is ${words(delayUs)} behind it`
  const quantile = mark ? `, by the ${mark.quantile} quantile of each object` : ''
  const bounded =
    bounds?.is === 'key'
      ? [`times inside the period of the key move it: ${bounds.pattern}`]
      : bounds
        ? [`times up to ${words(bounds.skewUs)} after an object was last modified move it`]
        : []
  return [`time ${time}, ${behind}${quantile}`, ...bounded]
}

/** Microseconds as text. */
function words(us: string): string {
  return durationInWords(`${BigInt(us) / 1000n}ms`)
}

/** Columns that lie in objects, and those that something else gives. */
function columnsRead({ columns, facts = {} }: SourceSettings, { of }: GraphScan): readonly string[] {
  const names = Object.keys(columns)
  const given = (fact: 'key' | 'meta') => names.filter(name => facts[name] === fact)
  const read = names.filter(name => facts[name] === undefined)
  const some = (label: string, found: readonly string[]) => (found.length > 0 ? [`${label}${found.join(', ')}`] : [])
  const count = of === null ? '' : `${read.length} of ${showCounted(of, 'column')}: `
  const unknown = of === null && read.length > 0 ? ['how many columns objects have is known after a run'] : []
  return [
    ...some(`reads ${count}`, read),
    ...unknown,
    ...some('from the key: ', given('key')),
    ...some('from the object: ', given('meta')),
  ]
}

const lookupId = ({ settings }: LookupDefinition) => `lookup ${settings.name}`

function lookupNode(lookup: LookupDefinition, steps: readonly Step[]): GraphNode {
  const { settings, key, objects, refreshMs } = lookup
  return {
    id: lookupId(lookup),
    kind: 'lookup',
    op: 'lookup',
    name: settings.name,
    tells: [
      `${settings.format} from ${objects}`,
      `a row for each ${key.join(', ')}, looked at every ${durationInWords(`${refreshMs}ms`)}`,
    ],
    flows: [
      ...new Set(
        steps.flatMap(({ node: { step }, flows }) =>
          step.is === 'lookup' && step.lookup.settings.name === settings.name ? flows : [],
        ),
      ),
    ],
    columns: settings.columns,
    options: { ...settings, key: [...key] } as unknown as Json,
    holds: null,
    reads: null,
  }
}

/** Where in the checkpoint those rows of a source or a step lie that were set aside. */
function keptOf(definitions: readonly SourceDefinition[]) {
  return ({ id, node, flows }: Step): readonly { readonly node: GraphNode; readonly edge: GraphEdge }[] => {
    const kept = (carries: 'late rows' | 'bad rows', tells: readonly string[]) => {
      const own = `${carries} of ${id}`
      const nothing = { name: null, columns: {}, options: {}, holds: null, reads: null } as const
      const made: GraphNode = { id: own, kind: 'kept', op: carries, tells, flows, ...nothing }
      return [{ node: made, edge: { from: id, to: own, carries, side: null } }]
    }
    if (node.step.is === 'source') {
      const definition = definitions.find(({ settings: { name } }) => name === sourceSettings(node).name)
      return definition ? kept('bad rows', [badTold(definition)]) : []
    }
    if (node.step.is !== 'stateful') return []
    const { corrections, isEndless } = foldStep(node.inputs, node.step, node.options as never)
    // Nothing is late for what ends with all.
    if (isEndless) return []
    const applied = corrections && `for ${words(String(corrections.retentionUs))} apply-late can bring them in`
    return kept('late rows', [['kept in the checkpoint', ...(applied ? [applied] : [])].join('; ')])
  }
}

const badWords = { fail: 'end the run', quarantine: 'are set aside', skip: 'are skipped' } as const

function badTold({ policies: { onBadRow, onBadObject } }: SourceDefinition): string {
  const [rows, objects] = [badWords[onBadRow], badWords[onBadObject]]
  return rows === objects ? `bad rows and bad objects ${rows}` : `bad rows ${rows}, bad objects ${objects}`
}

const endId = (index: number) => `end of ${flowName(index)}`

function endNode(terminal: Terminal, index: number): GraphNode {
  const name = flowName(index)
  return {
    id: endId(index),
    kind: 'sink',
    op: terminal.is === 'rows' ? terminal.op : 'to',
    name,
    tells: endTold(terminal),
    flows: [name],
    columns: endColumns(terminal),
    options: endOptions(terminal),
    holds: null,
    reads: null,
  }
}

/** As a plan shows them: `{ files: 'data/output', format: 'parquet' }`. */
export function endOptions(terminal: Terminal): { readonly [key: string]: Json } {
  if (terminal.is === 'rows') return asksForChanges(terminal.emit)
  const { sink, uri, hold } = terminal.sink
  const { sink: _, ...options } = sinkOptions(terminal.sink)
  return { [sink]: uri, ...options, ...plainJson({ ...hold }), ...asksForChanges(terminal.emit) }
}

function endTold(terminal: Terminal): readonly string[] {
  const changes = terminal.emit === 'update' ? ['gives changes of results'] : []
  const columns = `gives ${columnsTold(endColumns(terminal))}`
  if (terminal.is === 'rows') return ['the rows of each epoch to your own code', ...changes, columns]
  const { sink, uri } = terminal.sink
  const { [sink]: _, emit: __, ...options } = endOptions(terminal)
  const asked = optionsTold(options)
  return [`${sink} ${uri}`, ...(asked === '' ? [] : [asked]), ...changes, columns]
}
