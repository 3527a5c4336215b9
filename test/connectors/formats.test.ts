import { createCsvFormat } from '../../connectors/csv/format.ts'
import { jsonFormat } from '../../connectors/json/format.ts'
import { createTextFormat } from '../../connectors/text/format.ts'
import { csv, text } from '../../src/index.ts'
import type { CsvSettings } from '../../src/plan/csv-settings.ts'
import type { TextSettings } from '../../src/plan/text-settings.ts'
import { describeTextFormat } from '../contracts/object-format.ts'

describeTextFormat('JSON', {
  format: jsonFormat,
  body: rows => rows.map(row => `${JSON.stringify(row)}\n`).join(''),
  broken: { row: '{"k":', shown: '{"k":', expected: 'a JSON object (RFC 8259)' },
  separator: '\n',
})

describeTextFormat('CSV', {
  format: createCsvFormat(csv().csv as CsvSettings),
  body: rows => ['k,v', ...rows.map(({ k, v }) => `${k},${v}`)].map(line => `${line}\n`).join(''),
  broken: { row: 'x,1,2', shown: 'x,1,2', expected: 'a CSV record of 2 fields, as the header has, and not of 3' },
  separator: '\n',
})

describeTextFormat('text', {
  format: createTextFormat(text({ pattern: '(?P<k>\\w+) (?P<v>.+)' }).text as TextSettings),
  body: rows => rows.map(({ k, v }) => `${k} ${v}\n`).join(''),
  broken: { row: 'nothing', shown: 'nothing', expected: 'a line of UTF-8, of at most 1 MiB, that the pattern fits' },
  separator: '\n',
})
