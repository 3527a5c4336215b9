import type { Sink, SinkKind } from '../../plan/sink.ts'
import { noForm } from './no-sql-form.ts'
import { optionTexts, withText } from './options-text.ts'
import { id } from '../../plan/sql.ts'

/** `CREATE SINK` of a sink. What is secret is a variable of the environment in its place. */
export function sinkText(
  name: string,
  sink: Sink,
  behind: Readonly<Record<string, unknown>>,
  kinds: readonly SinkKind[],
): string {
  const kind = kinds.find(each => each.kind === sink.sink)
  const { options: table, make } = kind ?? {}
  if (!table || !make) return noForm(`the sink ${sink.sink} has no statement`)
  const own = { ...sink, ...sink.hold } as Readonly<Record<string, unknown>>
  const values = Object.entries(table).map(([option, { isPositional, isSecret, isRequired }]) => {
    if (isPositional)
      return [
        Object.hasOwn(table, 'path') ? option : 'path',
        option === 'uri' ? sink.uri : (own[option] ?? sink.uri),
      ] as const
    return [option, isSecret ? (isRequired ? secret(sink, option) : undefined) : own[option]] as const
  })
  const written = optionTexts({ connector: sink.sink, ...Object.fromEntries(values), ...behind }, `sink ${sink.sink}`)
  return `CREATE SINK ${id(name)}${withText(written.map(each => each.replace(/= '\$\$(\{[A-Z_]+\})'$/, "= '$$$1'")))};`
}

/** `${POSTGRES_URL}` */
function secret({ sink }: Sink, option: string): string {
  return `\${${sink.toUpperCase()}_${option.toUpperCase()}}`
}
