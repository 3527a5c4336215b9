import { visible } from '../core/visible.ts'
import type { GraphNode, PlanGraph } from '../engine/report/plan-graph.ts'

/** How Mermaid draws what is no step. */
const shapes: Readonly<Record<string, readonly [string, string]>> = {
  source: ['[(', ')]'],
  lookup: ['[(', ')]'],
  kept: ['>', ']'],
  sink: ['([', '])'],
}

/** A flowchart of Mermaid. Nodes are numbered there, as their own names may hold anything. */
export function drawMermaid({ nodes, edges }: PlanGraph): string {
  const places = new Map(nodes.map(({ id }, index) => [id, `n${index + 1}`]))
  const lines = [
    'flowchart TD',
    ...nodes.map(node => {
      const [open, close] = shapes[node.kind] ?? ['[', ']']
      return `  ${places.get(node.id)}${open}"${labelOf(node)}"${close}`
    }),
    ...edges.map(({ from, to, carries, side }) => {
      const about = [side, carries === 'rows' ? null : carries].filter(part => part !== null).join(' ')
      const arrow = carries === 'rows' ? '-->' : '-.->'
      return `  ${places.get(from)} ${arrow}${about === '' ? '' : `|"${escaped(about)}"|`} ${places.get(to)}`
    }),
  ]
  return `${lines.join('\n')}\n`
}

function labelOf({ op, name, kind, tells }: GraphNode): string {
  const lines = tells.flatMap(text => text.split('\n'))
  const [first = '', ...others] = lines
  if (kind === 'kept') return [op, ...lines].map(escaped).join('<br/>')
  return [`${name === null ? op : `${op} ${name}`} ${first}`.trim(), ...others].map(escaped).join('<br/>')
}

/**
 * Whatever is no letter, digit or plain sign stands as Mermaid's `#code;`, so that no name ends a label, begins one of
 * Markdown, or is taken for HTML.
 */
function escaped(text: string): string {
  return visible(text).replaceAll(/[^\p{L}\p{N} ,.:()=+/_-]/gu, sign => `#${sign.codePointAt(0)};`)
}
