/** SQL text, quoted. Every name and literal that millrace puts into a query passes here. */

/** An identifier: `a"b` becomes `"a""b"`. */
export function id(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text literal. */
export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}
