import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node'
import type {} from '../skipped-because.ts'

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export interface RunCounts extends Counts {
  /** Skipped tests by why they were, in the order in which the reasons came up. */
  readonly skippedBecause: ReadonlyMap<string, number>
}

/**
 * Counts what a run did. Failed are: tests; modules and suites with an error of their own (did not load, a hook threw),
 * whose tests would otherwise read as skipped; tests that never came to an end; errors outside every test.
 */
export function countRun(modules: readonly TestModule[], outside: readonly SerializedError[]): RunCounts {
  let passed = 0
  let failed = outside.length
  let skipped = 0
  const skippedBecause = new Map<string, number>()
  for (const module of modules) {
    for (const suite of [module, ...module.children.allSuites()]) if (suite.errors().length > 0) failed++
    for (const test of module.children.allTests()) {
      if (isSkipped(test)) {
        skipped++
        const why = whySkipped(test)
        skippedBecause.set(why, (skippedBecause.get(why) ?? 0) + 1)
      } else if (test.result().state === 'passed') passed++
      else failed++
    }
  }
  return { passed, failed, skipped, skippedBecause }
}

/** Of a suite that is skipped inside a skipped one, vitest 5 leaves the tests as they were collected: 'pending'. */
function isSkipped(test: TestCase): boolean {
  const { state } = test.result()
  if (state !== 'pending') return state === 'skipped'
  for (let above: TestCase['parent'] = test.parent; ; above = above.parent) {
    if (above.state() === 'skipped') return true
    if (above.type === 'module') return false
  }
}

function whySkipped(test: TestCase): string {
  const result = test.result()
  if (result.state === 'skipped' && result.note !== undefined) return result.note
  if (test.options.mode === 'todo') return 'to do'
  for (let above: TestCase['parent'] = test.parent; ; above = above.parent) {
    if (above.errors().length > 0) return 'a hook before them failed'
    if (above.type === 'module')
      return above.meta().skippedBecause?.join('; ') ?? 'by the test file itself, or by a filter'
  }
}

export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

/** What lies beyond the counts. A run that ends with an error, or before it was over, has failed even if every test passed. */
export function agreed(counts: Counts, exitCode: number): { readonly counts: Counts; readonly exitCode: number } {
  if (counts.failed > 0) return { counts, exitCode: exitCode || 1 }
  return { counts: exitCode === 0 ? counts : { ...counts, failed: 1 }, exitCode }
}

/**
 * Prints the closing line last of all, for people and machines that read the end of a log, and before it why tests were
 * skipped. Both are written as the process exits, since other reporters run beside this one in no fixed order and vitest
 * itself still writes after them. By then all is known that can make a run fail, so that this is also where line and exit
 * code are brought to agree: vitest takes a file whose tests never ended for passed, and what breaks after the tests (a
 * global teardown) sets its exit code alone.
 */
export class ClosingLine implements Reporter {
  // A run that ends before it tells its end did not pass.
  #counts: RunCounts = { passed: 0, failed: 1, skipped: 0, skippedBecause: new Map() }
  #watching = false

  // Not in the constructor: tools that only read the configuration make a reporter too.
  onInit(): void {
    process.once('exit', code => {
      if (this.#watching) return
      const { counts, exitCode } = agreed(this.#counts, code)
      process.exitCode = exitCode
      const reasons = [...this.#counts.skippedBecause].map(
        ([why, count]) => `  ${count} ${why.replaceAll('\n', '\n    ')}\n`,
      )
      if (reasons.length > 0) process.stdout.write(`Skipped:\n${reasons.join('')}\n`)
      process.stdout.write(`${closingLine(counts)}\n`)
    })
  }

  onWatcherStart(): void {
    this.#watching = true
  }

  onTestRunEnd(modules: readonly TestModule[], outside: readonly SerializedError[]): void {
    this.#counts = countRun(modules, outside)
  }
}
