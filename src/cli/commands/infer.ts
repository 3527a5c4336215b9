import { recordsPath } from '../../../connectors/json/spec.ts'
import { text } from '../../core/option-kinds.ts'
import type { InferredColumn } from '../../engine/infer/infer.ts'
import type { InferredAcross } from '../../engine/infer/infer-files.ts'
import type { Command } from '../command.ts'
import { jsonOption } from '../options.ts'

const options = {
  file: {
    kind: text('a Parquet, JSON or CSV file, or a folder or glob of such files'),
    isRequired: true,
    isPositional: true,
    placeholder: 'FILE|FOLDER|GLOB|s3://BUCKET/KEY',
    about: 'The file or files whose columns are read.',
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
  summary: "print a source's columns block for a file, or for several",
  about: `Reads the columns of a Parquet, JSON or CSV file, or of one object of S3, and prints a 'columns' block to paste into source().
Where the name does not end in .parquet, .json, .csv or the like, the content tells what it is.
Of several files, such as 'months/*.parquet', it finds the type that holds what each has, and says in which file a column
begins, ends or changes its type; DEFAULT NULL stands where one lacks it.
Of a Parquet object only the footer is fetched, of another one all. Rows of JSON that are broken are left out.
Add NOT NULL where a NULL would be an error, and DECIMAL(18,2) for money that the file holds as DOUBLE.`,
  options,
  async run({ file, records, json }, terminal) {
    const { inferFiles } = await import('../../engine/infer/infer-files.ts')
    const { columns, files, unreadable } = await inferFiles(file, records)
    for (const { key, reason } of unreadable) terminal.err(`${key} is left out: ${reason}\n`)
    if (json) terminal.out(`${JSON.stringify(files === 1 && unreadable.length === 0 ? columns.map(ofOne) : columns)}\n`)
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
          `${only.name} is an array of objects. Where these are the rows: format: ` +
            `json({ records: '${only.name}' }), and infer --records ${only.name}.\n`,
        )
    }
    return 0
  },
}

/** Of one file there is nothing to say but its columns. */
function ofOne({ declaration: _declaration, changes: _changes, ...column }: InferredAcross): InferredColumn {
  return column
}

function lineOf({ name, declaration, why, changes }: InferredAcross): string {
  const key = /^[A-Za-z][A-Za-z0-9_]*$/.test(name) ? name : JSON.stringify(name)
  const told = changes.length === 0 ? '' : ` // ${changes.join('; ')}`
  if (why === undefined) return `  ${key}: '${declaration}',${told}`
  return (
    `  // ${key}: ` +
    `${declaration === null ? '' : `'${declaration}', `}${why}${changes.length === 0 ? '' : `; ${changes.join('; ')}`}`
  )
}
