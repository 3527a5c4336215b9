import { TestRunner } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** What a file's tests lack on this machine: the closing line tells it of those that are skipped. */
    skippedBecause?: readonly string[]
  }
}

/** Called while a file is loaded, where tests of it will be skipped. Under CI=true, where nothing may be skipped, throw instead. */
export function skippedBecause(reason: string): void {
  const meta = TestRunner.getCurrentSuite().file?.meta
  if (meta === undefined) throw new Error(`'${reason}' was told outside the loading of a test file.`)
  meta.skippedBecause = [...(meta.skippedBecause ?? []), reason]
}
