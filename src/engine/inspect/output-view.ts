/** Under which name `millrace sql` has the rows of a flow; those of an only flow are `output` too. */
export function outputView(flow: string): string {
  return `output_${flow.replaceAll('-', '_')}`
}
