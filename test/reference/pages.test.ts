import { expect, test } from 'vitest'
import { connectors, formats } from '../../connectors/registry.ts'
import { inferCommand } from '../../src/cli/commands/infer.ts'
import type { OptionTable } from '../../src/core/options.ts'
import { inferableNames } from '../../src/engine/infer/infer.ts'
import { optionRows } from './option-rows.ts'

// `npm test -- test/reference -u` writes the pages again.

const part = (call: string, options: OptionTable, more: readonly string[] = []) => [
  '',
  `## \`${call}\``,
  '',
  ...more,
  Object.keys(options).length === 0 ? 'It has no options.' : optionRows(options),
]

test('the page of connectors says what they say of themselves', async () => {
  const page = [
    '# What announces objects',
    '',
    'Each of these is a call that a source takes as its `notifications`. A value that does not fit is refused before anything is',
    'read, with the option, what was found and what was expected. What is never shown reaches no message, log, plan or checkpoint.',
    'How buckets announce, and what the process has to be allowed, is told in the guides: [SQS](../guides/follow-a-bucket-with-sqs.md),',
    '[Kafka](../guides/follow-a-bucket-with-kafka.md).',
    ...connectors.flatMap(({ call, options }) => part(call, options)),
    '',
  ]
  await expect(page.join('\n')).toMatchFileSnapshot('../../docs/reference/connectors.md')
})

/** Settings of a format for which it can say what its objects end in. */
const settings: Readonly<Record<string, object>> = {
  csv: { delimiter: ',', quote: '"', escape: '"', nullText: '', header: true },
  text: { pattern: '(?P<a>.*)', groups: ['a'], nullText: '', times: {}, comment: '', headerLines: 0 },
}
const policies = { onBadRow: 'fail', onBadObject: 'fail', onDenied: 'fail', overwrite: 'append' } as const

test('the page of formats says what they say of themselves', async () => {
  const page = [
    '# What objects are written as',
    '',
    'Each of these is a call that a source takes as its `format`. A value that does not fit is refused before anything is read,',
    "with the option, what was found and what was expected. The source's own `suffix` takes the place of the endings.",
    ...formats.flatMap(({ kind, call, options, create, infer }) => {
      const { extensions } = create(settings[kind] ?? {}, policies)
      const endings = extensions.map(extension => `\`${extension}\``).join(', ')
      const inferred = infer ? '`millrace infer` reads its columns.' : 'Its columns cannot be inferred from a file.'
      return part(call, options, [`Objects end in ${endings}. ${inferred}`, ''])
    }),
    '',
  ]
  await expect(page.join('\n')).toMatchFileSnapshot('../../docs/reference/formats.md')
})

test('the help of infer names the formats that it reads', () => {
  expect(inferCommand.about).toContain(`Reads the columns of a ${inferableNames} file`)
  expect(inferCommand.options.file.kind.expected).toContain(`a ${inferableNames} file`)
})
