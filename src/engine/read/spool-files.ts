import { rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Spool files that wait to be written over. */
const sparesMax = 1_000

/**
 * The files of the spool. Copies of small objects that nobody wants any more are kept and written over. Thousands of
 * files made and removed cost a file system dearly: ext4 looks at each number that it has given back within five
 * seconds, for every file that it makes.
 */
export interface SpoolFiles {
  /** A file where nothing lies; or a spare, which is written over. */
  take(isSmall: boolean): { readonly file: string; readonly isSpare: boolean }
  give(file: string, isSmall: boolean): Promise<void>
}

export function createSpoolFiles(folder: string): SpoolFiles {
  const spares: string[] = []
  let files = 0
  return {
    take(isSmall) {
      const spare = isSmall ? spares.pop() : undefined
      return { file: spare ?? join(folder, `${files++}`), isSpare: spare !== undefined }
    },
    async give(file, isSmall) {
      if (isSmall && spares.length < sparesMax) spares.push(file)
      else await rm(file, { force: true })
    },
  }
}
