import { expect, test } from 'vitest'
import { connectors } from '../../connectors/registry.ts'
import { optionRows } from './option-rows.ts'

/** `npm test -- test/reference -u` writes the page again. */
test('the page of connectors says what they say of themselves', async () => {
  const page = [
    '# What announces objects',
    '',
    'Each of these is a call that a source takes as its `notifications`. A value that does not fit is refused before anything is',
    'read, with the option, what was found and what was expected. What is never shown reaches no message, log, plan or checkpoint.',
    'How buckets announce, and what the process has to be allowed, is told in the [README](../../README.md#following-a-bucket).',
    ...connectors.flatMap(({ call, options }) => ['', `## \`${call}\``, '', optionRows(options)]),
    '',
  ]
  await expect(page.join('\n')).toMatchFileSnapshot('../../docs/reference/connectors.md')
})
