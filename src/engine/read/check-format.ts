import { configError, errorMessage } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import type { Format } from '../../plan/format.ts'

/** Refuses settings of a format that DuckDB cannot work with, before anything is read. @param of 'source trips' */
export async function checkFormat(
  { name, check }: Pick<Format, 'name' | 'check'>,
  of: string,
  executor: Pick<Executor, 'describe'>,
): Promise<void> {
  if (!check) return
  await executor.describe(check.sql).catch((error: unknown) => {
    const said = errorMessage(error).replace(/^.*failed to parse: /s, '')
    const field = `${of}: ${name}: ${check.option}`
    throw configError(field, check.value, `a regular expression of RE2; DuckDB says: ${said}`, error)
  })
}
