/** Under which name `millrace sql` has the rows of a flow; those of an only flow are `output` too. */
export function outputView(flow: string): string {
  return `output_${flow.replaceAll('-', '_')}`
}

/** The same of a flow that gives changes: what its results are after them. Those of an only flow are `latest` too. */
export function latestView(flow: string): string {
  return `latest_${flow.replaceAll('-', '_')}`
}
