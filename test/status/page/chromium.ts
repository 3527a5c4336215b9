import { existsSync } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { onTestFinished } from 'vitest'
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

/** Opens an address in a context of its own, which is closed after the test. */
export async function openPage(browser: Browser | undefined, address: string, options: BrowserContextOptions = {}) {
  if (!browser) throw new Error('unreachable: its tests are skipped')
  const context = await browser.newContext(options)
  onTestFinished(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(0)
  const faults: string[] = []
  const asked: string[] = []
  page.on('pageerror', error => faults.push(error.message))
  page.on('console', message => {
    if (message.type() === 'error') faults.push(message.text())
  })
  // The icon is in the document itself.
  page.on('request', made => {
    if (!made.url().startsWith('data:')) asked.push(made.url())
  })
  const answer = await page.goto(address, { timeout: 0 })
  return { page, faults, asked, answer }
}

/** Waits until a part shows a text. */
export const expectShown = (page: Page, part: string, text: string) =>
  page.locator(part).filter({ hasText: text }).waitFor({ timeout: 0 })

/** The definitions of a part: what stands under each name. */
export async function definitions(page: Page, part: string): Promise<Readonly<Record<string, string>>> {
  const pairs = await page
    .locator(`${part} dl > div`)
    .evaluateAll(all => all.map(one => [...one.children].map(child => child.textContent ?? '')))
  return Object.fromEntries(pairs as [string, string][])
}

/** The cells of a part's tables, those of hidden ones too. */
export const cells = (page: Page, part: string): Promise<readonly (readonly string[])[]> =>
  page
    .locator(`${part} tbody tr`)
    .evaluateAll(rows => rows.map(row => [...row.children].map(cell => cell.textContent ?? '')))

/** What a page must show as text and never as an element. */
export const hostile = `a'"$(id) <img src=x onerror="document.title='taken'"> <\u2028`
