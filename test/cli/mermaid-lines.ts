import { expect } from 'vitest'

/** What Mermaid's grammar of flowcharts takes as a text in quotes: no quote, and `#code;` for what is no plain sign. */
const text = String.raw`"(?:[\p{L}\p{N} ,.:()=+/_-]|#\d+;|<br/>)+"`
const node = new RegExp(String.raw`^ {2}(n\d+)(?:\[${text}\]|\[\(${text}\)\]|\(\[${text}\]\)|>${text}\])$`, 'u')
const edge = new RegExp(String.raw`^ {2}(n\d+) (?:-->|-\.->)(?:\|${text}\|)? (n\d+)$`, 'u')

/** Checks every line of a flowchart against that grammar. @returns its nodes, and its edges between them */
export function readMermaid(chart: string): {
  readonly nodes: readonly string[]
  readonly edges: readonly (readonly [string, string])[]
} {
  const [head, ...lines] = chart.trimEnd().split('\n')
  expect(head).toBe('flowchart TD')
  const nodes = lines.flatMap(line => node.exec(line)?.[1] ?? [])
  const edges = lines.flatMap(line => {
    const [, from, to] = edge.exec(line) ?? []
    return from !== undefined && to !== undefined ? [[from, to] as const] : []
  })
  // Nodes stand first, and no line is anything else.
  expect(nodes.length + edges.length).toBe(lines.length)
  expect(lines.slice(0, nodes.length).every(line => node.test(line))).toBe(true)
  for (const end of edges.flat()) expect(nodes).toContain(end)
  return { nodes, edges }
}
