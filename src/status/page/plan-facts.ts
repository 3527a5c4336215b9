import type { Json } from '../../core/json.ts'
import { showCounted } from '../../core/quantity.ts'
import { type StoredNode, type StoredPlan, writtenOptions } from '../../plan/stored-plan.ts'
import type { PlanArrow, PlanBox, PlanFacts, SinkFacts, SourceFacts, StateFacts, TotalFacts } from './facts.ts'

/** What stands at the boxes and arrows of the picture. */
export interface PlanCounts {
  readonly sources: readonly SourceFacts[]
  readonly states: readonly StateFacts[]
  readonly sinks: readonly SinkFacts[]
  readonly totals: TotalFacts | null
}

/** The plan as boxes and arrows, each step once, with what was counted. */
export function planFacts(plan: StoredPlan, counts: PlanCounts): PlanFacts {
  const steps = plan.nodes.map(node => stepBox(node, counts))
  const ends = Object.entries(plan.flows).map(([flow, { op }]): PlanBox => {
    const sink = counts.sinks.find(found => found.flow === flow)
    return {
      id: endId(flow),
      kind: 'sink',
      title: op === 'to' ? `to ${sinkKind(plan, flow)}` : op,
      detail: sink?.address || flow,
      count: sink === undefined ? '' : sinkCount(sink),
    }
  })
  const between = plan.nodes.flatMap(({ id, inputs }) =>
    inputs.map((from): PlanArrow => ({ from, to: id, count: arrowCount(plan, from, counts) })),
  )
  const out = Object.entries(plan.flows).map(
    ([flow, { from }]): PlanArrow => ({ from, to: endId(flow), count: arrowCount(plan, from, counts) }),
  )
  return { boxes: [...steps, ...ends], arrows: [...between, ...out] }
}

/** 'files', 'postgres'; 'rows' where a flow ends in somebody's code. */
export function sinkKind({ flows }: StoredPlan, flow: string): string {
  const end = flows[flow]
  if (end?.op !== 'to') return end?.op ?? ''
  // `files` came first and goes without its name.
  return textOf((end.options as { readonly sink?: Json } | undefined)?.sink ?? 'files')
}

/** No step has such an id. */
const endId = (flow: string): string => `end of ${flow}`

function stepBox(node: StoredNode, { states }: PlanCounts): PlanBox {
  const { id, op } = node
  const options = writtenOptions(node)
  const state = states.find(({ name }) => name === id)
  if (op === 'source') {
    const { name, format } = options as { readonly name?: Json; readonly format?: Json }
    return { id, kind: 'source', title: `source ${textOf(name)}`, detail: textOf(format), count: '' }
  }
  const held =
    state &&
    (state.openWindows === null
      ? showCounted(state.rows, 'row')
      : `${showCounted(state.openWindows, 'open window')}, ${showCounted(state.rows, 'row')}`)
  return { id, kind: state ? 'state' : 'step', title: op, detail: detailOf(options), count: held ?? '' }
}

/** Rows that were read go along the arrows that leave a source: what a step lets through is not counted. */
function arrowCount({ nodes }: StoredPlan, from: string, { sources, totals }: PlanCounts): string {
  const node = nodes.find(({ id }) => id === from)
  if (node?.op !== 'source') return ''
  const { name } = writtenOptions(node) as { readonly name?: Json }
  // Of one source the checkpoint knows all rows; of several only the process does, since its start.
  if (sources.length === 1 && totals) return showCounted(totals.rows, 'row')
  const source = sources.find(found => found.name === name)
  if (source?.read) return showCounted(source.read.rows, 'row')
  return typeof source?.rows === 'number' ? `${showCounted(source.rows, 'row')} since the start` : ''
}

function sinkCount({ epochs, heldRows }: SinkFacts): string {
  const held = heldRows > 0 ? `, ${showCounted(heldRows, 'row')} held` : ''
  return (epochs === 0 ? 'has all epochs' : `${showCounted(epochs, 'epoch')} behind`) + held
}

/** The document has a bound, and `explain` has all of it. */
const detailMax = 1_000

/** Options as a line: `delay 1 hour, by zone`. */
function detailOf(options: Json): string {
  const text = textOf(options)
  return text.length > detailMax ? `${text.slice(0, detailMax)}… (millrace explain has all of it)` : text
}

function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return value.map(textOf).join(', ')
  return Object.entries(value)
    .filter(([, inner]) => textOf(inner) !== '')
    .map(([name, inner]) => `${name}: ${textOf(inner)}`)
    .join(', ')
}
