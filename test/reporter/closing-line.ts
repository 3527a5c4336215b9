import type { Reporter, SerializedError, TestModule } from 'vitest/node'

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/**
 * Counts what a run did. Failed are: tests; modules and suites with an error of their own (did not load, a hook threw),
 * whose tests would otherwise read as skipped; tests that never came to an end; errors outside every test.
 */
export function countRun(modules: readonly TestModule[], outside: readonly SerializedError[]): Counts {
  let passed = 0
  let failed = outside.length
  let skipped = 0
  for (const module of modules) {
    for (const suite of [module, ...module.children.allSuites()]) if (suite.errors().length > 0) failed++
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') passed++
      else if (state === 'skipped') skipped++
      else failed++
    }
  }
  return { passed, failed, skipped }
}

export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

/**
 * Prints the closing line last of all, for people and machines that read the end of a log. It is written as the
 * process exits, since other reporters run beside this one in no fixed order and vitest itself still writes after them.
 */
export class ClosingLine implements Reporter {
  #counts: Counts = { passed: 0, failed: 0, skipped: 0 }
  #watching = false

  // Not in the constructor: tools that only read the configuration make a reporter too.
  onInit(): void {
    process.once('exit', () => {
      if (!this.#watching) process.stdout.write(`${closingLine(this.#counts)}\n`)
    })
  }

  onWatcherStart(): void {
    this.#watching = true
  }

  onTestRunEnd(modules: readonly TestModule[], outside: readonly SerializedError[]): void {
    this.#counts = countRun(modules, outside)
  }
}
