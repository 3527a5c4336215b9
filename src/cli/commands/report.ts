import { writeFile } from 'node:fs/promises'
import { wallMs } from '../../core/clock.ts'
import type { Command } from '../command.ts'
import { newFile, newFileOption } from '../new-file.ts'
import { checkpointArgument } from '../options.ts'
import { invocation } from '../shown-path.ts'
import { version } from '../version.ts'

const options = {
  checkpoint: checkpointArgument,
  output: newFileOption('Write the page to this new file instead of stdout.'),
} as const

export const reportCommand: Command<typeof options> = {
  name: 'report',
  summary: 'write the status page of a checkpoint as one file of HTML',
  about: `Writes the page that a run serves at its status port, from what the checkpoint alone tells: sources, open
windows, plan, rows and objects set aside by reason, sinks, sizes. What only a live process knows is left out.
The file asks for nothing else, holds no values of rows, and opens in any browser. It claims nothing: a run
that writes there goes on.`,
  options,
  async run({ checkpoint, output }, terminal) {
    const [{ components }, { checkpointReport }, { reportFacts }, { pageDocument }, { createRedact }] =
      await Promise.all([
        import('../../engine/components.ts'),
        import('../../engine/inspect/report.ts'),
        import('../../status/page/report-facts.ts'),
        import('../../status/page/document.ts'),
        import('../../status/redact.ts'),
      ])
    const report = await checkpointReport(checkpoint)
    const facts = reportFacts(report, { version: version(), nowMs: wallMs(components.clock), invocation })
    const { html } = pageDocument(createRedact([])(facts), false)
    if (output === undefined) terminal.out(html)
    else await newFile('report', output, file => writeFile(file, html, { flag: 'wx' }))
    return 0
  },
}
