import type { Option, OptionTable } from '../../src/core/options.ts'

/** A table of options as a reference page has it: options within options by their path, such as `sasl.password`. */
export function optionRows(table: OptionTable): string {
  return ['| Option | What | Values | Default |', '|---|---|---|---|', ...rowsOf(table, '')].join('\n')
}

function rowsOf(table: OptionTable, above: string): readonly string[] {
  return Object.entries(table).flatMap(([name, option]) => [
    `| \`${above}${name}\` | ${[`${option.about}${option.isSecret ? ' Never shown.' : ''}`, option.kind.expected, defaultOf(option)].map(escaped).join(' | ')} |`,
    ...(option.kind.table ? rowsOf(option.kind.table, `${above}${name}.`) : []),
  ])
}

function defaultOf({ isRequired, default: value, otherwise, unit }: Option<unknown>): string {
  if (isRequired) return 'required'
  if (value === undefined) return otherwise ?? 'none'
  return `\`${typeof value === 'string' ? `'${value}'` : JSON.stringify(value)}\`${unit ? ` ${unit}` : ''}`
}

const escaped = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/[<>]/g, character => `\\${character}`)
