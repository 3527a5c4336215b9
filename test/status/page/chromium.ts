import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { skippedBecause } from '../../skipped-because.ts'

const executablePath = '/usr/bin/chromium'

/** Debian's Chromium. Called while a file is loaded; undefined where its tests are skipped. */
export async function chromiumForTests(): Promise<Browser | undefined> {
  if (existsSync(executablePath))
    // In a container of root there is no sandbox of its own.
    return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'], timeout: 0 })
  const why = `there is no Chromium at ${executablePath} (apt-get install chromium)`
  if (process.env.CI === 'true') throw new Error(why)
  skippedBecause(why)
  return undefined
}
