import { recordsPath } from '../../../connectors/json/spec.ts'
import { text } from '../../core/option-kinds.ts'
import type { InferredColumn } from '../../engine/infer.ts'
import type { Command } from '../command.ts'
import { jsonOption } from '../options.ts'

const options = {
  file: {
    kind: text('a Parquet, JSON or CSV file'),
    isRequired: true,
    isPositional: true,
    placeholder: 'FILE|s3://BUCKET/KEY',
    about: 'The file whose columns are read.',
  },
  records: {
    kind: recordsPath,
    placeholder: 'FIELD',
    about: "The field of each JSON object that holds an array of the rows, as in `json({ records: 'Records' })`.",
  },
  json: jsonOption,
} as const

export const inferCommand: Command<typeof options> = {
  name: 'infer',
  summary: "print a source's columns block for a file",
  about: `Reads the columns of a Parquet, JSON or CSV file, or of one object of S3, and prints a 'columns' block to paste into source().
Where the name does not end in .parquet, .json, .csv or the like, the content tells what it is.
Of a Parquet object only the footer is fetched, of another one all. Rows of JSON that are broken are left out.
Add NOT NULL where a NULL would be an error, and DECIMAL(18,2) for money that the file holds as DOUBLE.`,
  options,
  async run({ file, records, json }, terminal) {
    const { infer } = await import('../../engine/infer.ts')
    const columns = await infer(file, records)
    if (json) terminal.out(`${JSON.stringify(columns)}\n`)
    else {
      terminal.out(`columns: {\n${columns.map(lineOf).join('\n')}\n}\n`)
      const [only] = columns
      if (
        records === undefined &&
        columns.length === 1 &&
        only?.physical.startsWith('STRUCT(') &&
        only.physical.endsWith('[]')
      )
        terminal.err(
          `${only.name} is an array of objects. Where these are the rows: format: json({ records: '${only.name}' }), and infer --records ${only.name}.\n`,
        )
    }
    return 0
  },
}

function lineOf({ name, type, why }: InferredColumn): string {
  const key = /^[A-Za-z][A-Za-z0-9_]*$/.test(name) ? name : JSON.stringify(name)
  if (why === undefined) return `  ${key}: '${type}',`
  return `  // ${key}: ${type === null ? '' : `'${type}', `}${why}`
}
