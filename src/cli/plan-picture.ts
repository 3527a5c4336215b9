import { visible } from '../core/visible.ts'
import type { GraphEdge, GraphNode, PlanGraph } from '../engine/report/plan-graph.ts'
import { columnsTold } from '../plan/relation.ts'
import { wrapText } from './text-width.ts'

/**
 * A plan from above to below, as `git log --graph` draws history:
 *
 *     ◆ source trips: parquet from data/trips/
 *     ├─▷ bad rows end the run
 *     ├─╮
 *     │ ● where total_amount <= 0
 *     ● │ tumbling 6 hours
 *
 * What a node gives goes on in its lane. A lane forks where a node takes rows that others take as well, and several
 * meet where a node has several inputs.
 *
 * @param columns so wide is a line at most, where its lanes leave room for a text at all
 */
export function drawPlan(graph: PlanGraph, columns: number): string {
  const drawing = createDrawing(graph, columns)
  for (const node of inOrder(graph)) drawing.add(node)
  return `${drawing.lines.join('\n')}\n`
}

/** Sources, then steps, each lookup before the step that joins with it, and the ends of flows. */
function inOrder({ nodes, edges }: PlanGraph): readonly GraphNode[] {
  const drawn = new Set<GraphNode>()
  for (const node of nodes) {
    if (node.kind === 'lookup' || node.kind === 'kept') continue
    for (const { from, to, carries } of edges)
      if (to === node.id && carries === 'versions') drawn.add(nodes.find(({ id }) => id === from) as GraphNode)
    drawn.add(node)
  }
  return [...drawn]
}

/** A text has this much, however many lanes there are. */
const textMin = 40

/** Before the further lines of a text. */
const under = '  '

/** Signs of a line across lanes: where it leaves a lane to the left or right, where it ends, and what it passes. */
interface Signs {
  readonly ends: readonly [left: string, right: string]
  readonly between: string
}
const fork: Signs = { ends: ['╭', '╮'], between: '┬' }
const join: Signs = { ends: ['╰', '╯'], between: '┴' }

function createDrawing({ nodes, edges }: PlanGraph, columns: number) {
  const lines: string[] = []
  /** By lane the node whose rows go on in it. */
  const lanes: (string | undefined)[] = []
  const kept = new Set(nodes.filter(({ kind }) => kind === 'kept').map(({ id }) => id))
  /** By node how many are still to take its rows. */
  const takers = new Map(
    nodes.map(({ id }) => [id, edges.filter(({ from, to }) => from === id && !kept.has(to)).length]),
  )
  const free = () => (lanes.includes(undefined) ? lanes.indexOf(undefined) : lanes.length)

  /** A lane with the rows of this edge alone: the node's own where no other takes them, else one beside it. */
  function take({ from }: GraphEdge): number {
    const lane = lanes.indexOf(from)
    const left = (takers.get(from) ?? 0) - 1
    takers.set(from, left)
    const own = left === 0 ? lane : free()
    if (left > 0) lines.push(across(lanes, lane, [own], fork))
    lanes[own] = `taken from ${from}`
    return own
  }

  /** @returns the lane in which these go on as one */
  function meet(found: readonly number[]): number {
    const [first = free(), ...others] = found.toSorted((a, b) => a - b)
    if (others.length > 0) lines.push(across(lanes, first, others, join))
    for (const lane of others) lanes[lane] = undefined
    return first
  }

  function write(lane: number, sign: string, text: Text, indent: string): void {
    const before = (own: string) => lanes.map((id, at) => (at === lane ? own : id === undefined ? ' ' : '│')).join(' ')
    const room = Math.max(textMin, columns - 2 * lanes.length - indent.length - under.length)
    for (const [at, part] of wrapText(
      typeof text === 'string' ? visible(text) : text.map(word => visible(word)),
      room,
    ).entries()) {
      const next = (takers.get(lanes[lane] ?? '') ?? 0) > 0 ? '│' : ' '
      lines.push(`${before(at === 0 ? sign : next)} ${indent}${at === 0 ? '' : under}${part}`.trimEnd())
    }
  }

  return {
    lines,
    add(node: GraphNode): void {
      const inputs = edges.filter(({ to }) => to === node.id)
      const taken = inputs.map(take)
      const sides = inputs.map(({ side }) => side)
      if (sides.includes('left') && sides.includes('right')) lines.push(sidesLine(lanes, taken, sides))
      const lane = meet(taken)
      lanes[lane] = node.id
      const goesOn = (takers.get(node.id) ?? 0) > 0
      const [first, ...details] = textOf(node, inputs)
      write(lane, node.kind === 'source' || node.kind === 'lookup' ? '◆' : '●', first, '')
      for (const detail of details) write(lane, goesOn ? '│' : ' ', detail, '  ')
      for (const aside of nodes.filter(({ id }) => edges.some(({ from, to }) => from === node.id && to === id)))
        if (kept.has(aside.id)) lines.push(asideLine(lanes, lane, goesOn, asideText(aside)))
      if (goesOn) return
      lanes[lane] = undefined
      while (lanes.length > 0 && lanes.at(-1) === undefined) lanes.pop()
    },
  }
}

/** Which lane is which input of a join. */
function sidesLine(
  lanes: readonly (string | undefined)[],
  taken: readonly number[],
  sides: readonly (string | null)[],
): string {
  const signs = lanes.map((id, at) => {
    const side = sides[taken.indexOf(at)]
    return side ? side.slice(0, 1).toUpperCase() : id === undefined ? ' ' : '│'
  })
  return `${signs.join(' ')} L: the left side, R: the right side`
}

/** A line from one lane, which goes on, to others. */
function across(lanes: readonly (string | undefined)[], from: number, to: readonly number[], signs: Signs): string {
  const [least, most] = [Math.min(from, ...to), Math.max(from, ...to)]
  let drawn = ''
  for (let at = 0; at < Math.max(lanes.length, most + 1); at++) {
    const isIn = at >= least && at <= most
    const passed = lanes[at] === undefined ? (isIn ? '─' : ' ') : isIn ? '┼' : '│'
    const end = at === least ? signs.ends[0] : at === most ? signs.ends[1] : signs.between
    const own = at === least ? '├' : at === most ? '┤' : '┼'
    drawn += at === from ? own : to.includes(at) ? end : passed
    drawn += at >= least && at < most ? '─' : ' '
  }
  return drawn.trimEnd()
}

/** What leads to where rows lie in the checkpoint, right of all lanes. */
function asideLine(lanes: readonly (string | undefined)[], lane: number, goesOn: boolean, text: string): string {
  const signs = lanes.map((id, at) => {
    if (at < lane) return id === undefined ? '  ' : '│ '
    if (at === lane) return goesOn ? '├─' : '╰─'
    return id === undefined ? '──' : '┼─'
  })
  return `${signs.join('')}▷ ${visible(text)}`
}

function asideText({ op, tells }: GraphNode): string {
  return op === 'late rows' ? `${op}: ${tells.join('; ')}` : tells.join('; ')
}

/** A text, or its words, which may have blanks in them. */
type Text = string | readonly string[]

function textOf(node: GraphNode, inputs: readonly GraphEdge[]): readonly [string, ...Text[]] {
  const { op, name, kind, tells } = node
  const sides = inputs.flatMap(({ side }) => side ?? [])
  const [first = '', ...others] = tells.flatMap(text => text.split('\n')).map(text => text.trim())
  const own = kind === 'late' || kind === 'quarantine' ? asideName(kind, sides) : op
  // Several things of one kind, such as those of derive, stand below one another.
  const head = name === null ? own : `${own} ${name}:`
  return [first === '' ? head : `${head} ${first}`, ...others.map(text => unbroken(text, node))]
}

/** A column and its type stay in one line. */
function unbroken(text: string, { columns }: GraphNode): Text {
  if (text !== `gives ${columnsTold(columns)}`) return text
  const told = Object.entries(columns).map(column => columnsTold(Object.fromEntries([column])))
  return ['gives', ...told.map((each, at) => (at === told.length - 1 ? each : `${each},`))]
}

function asideName(kind: 'late' | 'quarantine', [side]: readonly string[]): string {
  return kind === 'late'
    ? `late rows${side === undefined ? '' : ` of the ${side} side`}, as a flow`
    : 'bad rows, as a flow'
}
