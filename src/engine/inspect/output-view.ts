/** Under which name `millrace sql` has the rows of a flow; those of an only flow are `output` too. */
export function outputView(flow: string): string {
  return `output_${flow.replaceAll('-', '_')}`
}

/** The same of a flow whose results change: what they are now. Those of an only flow are `latest` too. */
export function latestView(flow: string): string {
  return `latest_${flow.replaceAll('-', '_')}`
}

/** The same of changes that late rows made of a flow's results since they were given. */
export function correctionsView(flow: string): string {
  return `corrections_${flow.replaceAll('-', '_')}`
}
