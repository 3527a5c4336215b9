import { expect, test } from 'vitest'
import { sinks } from '../../connectors/registry.ts'
import { toOptions } from '../../operators/to.ts'
import { main } from '../../src/cli/main.ts'
import { lookupOptions } from '../../src/plan/lookup.ts'
import { sourceOptions } from '../../src/plan/source-options.ts'
import { recordingTerminal } from '../cli/recorder.ts'
import { optionRows } from './option-rows.ts'
import { expectSections } from './sections.ts'

// Options are described once: these pages, help texts and the checks of values are made of that.

test('the page of sources has every option of source and lookup', () =>
  expectSections('docs/reference/source.md', {
    options: [optionRows(sourceOptions)],
    'options of lookup': [optionRows(lookupOptions)],
  }))

test('the page of sinks has every sink with its options', () =>
  expectSections('docs/reference/sinks.md', {
    'options of to': [optionRows(toOptions)],
    sinks: sinks.flatMap(({ call, options = {} }, index) => [
      ...(index > 0 ? [''] : []),
      `## \`${call}\``,
      '',
      optionRows(options),
    ]),
  }))

async function helpOf(...args: readonly string[]): Promise<string> {
  const terminal = recordingTerminal()
  expect(await main([...args, '--help'], terminal)).toBe(0)
  return terminal.stdout.trimEnd()
}

test('the page of the command line has the help of every command', async () => {
  const names = [...(await helpOf()).matchAll(/^ {2}([a-z-]+) {2,}/gm)].map(([, name]) => name as string)
  const commands = names.filter(name => !name.startsWith('-'))
  expect(commands).toContain('backfill')
  const parts = await Promise.all(
    commands.map(async name => [`## millrace ${name}`, '', '```text', await helpOf(name), '```']),
  )
  await expectSections('docs/reference/command-line.md', {
    commands: parts.flatMap((part, index) => [...(index > 0 ? [''] : []), ...part]),
  })
})
