import { systemClock } from '../../src/core/clock.ts'
import { openStatus } from '../../src/status/status.ts'

/** The paths that a daemon's status server answers, by its own word. */
export async function servedPaths(): Promise<readonly string[]> {
  let address = ''
  const status = await openStatus({
    clock: systemClock,
    pipeline: 'pages',
    version: '0',
    log: ({ fields }) => {
      if (typeof fields?.address === 'string') address = fields.address
    },
    redact: value => value,
    http: { host: '127.0.0.1', port: 0, invocation: 'millrace' },
  })
  try {
    const answer = await fetch(`${address}/nothing`)
    return (await answer.text()).trim().replace('expected one of ', '').split(', ')
  } finally {
    await status.close()
  }
}
