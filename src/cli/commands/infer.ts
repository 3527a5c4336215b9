import type { Command } from '../command.ts'
import { readArguments, renderOptions, usageError, type Options } from '../options.ts'

const options = {
  json: { help: 'one line of JSON instead' },
} satisfies Options

export const inferCommand: Command = {
  name: 'infer',
  summary: "print a source's columns block for a file",
  help: `Usage: millrace infer FILE|s3://BUCKET/KEY [OPTIONS]

Reads the columns of a Parquet, JSON lines or CSV file, or of one object of S3, and prints a 'columns' block to paste into source().
Of a Parquet object only the footer is fetched, of another one all.
Add NOT NULL where a NULL would be an error, and DECIMAL(18,2) for money that the file holds as DOUBLE.

${renderOptions(options)}
`,
  async run(args, terminal) {
    const { positionals, values } = readArguments('infer', options, args)
    const [file, extra] = positionals
    if (file === undefined)
      throw usageError('infer', 'the file is missing; expected a Parquet, JSON lines or CSV file.')
    if (extra !== undefined) throw usageError('infer', `found '${extra}' after ${file}; expected one file.`)
    const { infer } = await import('../../engine/infer.ts')
    const columns = await infer(file)
    if (values.json) terminal.out(`${JSON.stringify(columns)}\n`)
    else {
      const lines = columns.map(({ name, physical, type }) => {
        const key = /^[A-Za-z][A-Za-z0-9_]*$/.test(name) ? name : JSON.stringify(name)
        return type === null ? `  // ${key}: ${physical} cannot be declared` : `  ${key}: '${type}',`
      })
      terminal.out(`columns: {\n${lines.join('\n')}\n}\n`)
    }
    return 0
  },
}
