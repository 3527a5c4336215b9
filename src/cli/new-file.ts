import { errorMessage, isMillraceError } from '../core/errors.ts'
import { text } from '../core/option-kinds.ts'
import { usageError } from './options.ts'

/** Where a command writes what it would print. @param about what it writes */
export const newFileOption = <const About extends string>(about: About) =>
  ({ kind: text('a file that is not there yet'), placeholder: 'FILE', short: 'o', about }) as const

/** Writes the file of `--output`. One that is there already stays as it is. */
export async function newFile<T>(command: string, file: string, write: (file: string) => Promise<T>): Promise<T> {
  try {
    return await write(file)
  } catch (error) {
    if (isMillraceError(error)) throw error
    const isThere = (error as NodeJS.ErrnoException).code === 'EEXIST'
    const why = isThere ? `${file} is there already; expected a file that is not.` : `${errorMessage(error)}.`
    throw usageError(command, `--output: ${why}`)
  }
}
