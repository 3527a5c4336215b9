import { readFile, realpath } from 'node:fs/promises'
import { dirname, extname, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { errorMessage, isMillraceError, MillraceError } from '../core/errors.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { openSession } from '../engine/duckdb/session.ts'
import { compileSql } from '../sql/compile-sql.ts'
import { registerLoader } from './loader-hooks.ts'
import { rememberVariable } from './variables.ts'

/** The pipeline of a SQL file. DuckDB parses and binds its expressions in a session of its own, which ends here. */
export async function loadSql(file: string): Promise<Pipeline> {
  const text = await readFile(file, 'utf8')
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const load = (path: string) => loadBeside(file, path)
    return await compileSql({ file, text }, { executor, environment: process.env, onVariable: rememberVariable, load })
  } finally {
    await session.close()
  }
}

const accepted = ['.ts', '.mts', '.js', '.mjs']

/** Imports a file of functions. It lies below the folder of the SQL file, wherever links lead. */
async function loadBeside(file: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  const folder = await realpath(dirname(file))
  const found = await realpath(resolve(folder, path)).catch(() => undefined)
  if (found === undefined) throw loadError(path, 'does not exist; expected a file below the folder of the SQL file')
  if (!found.startsWith(folder + sep))
    throw loadError(path, 'lies elsewhere; expected a file below the folder of the SQL file')
  if (!accepted.includes(extname(found))) throw loadError(path, `is no code; expected ${accepted.join(', ')}`)
  const url = pathToFileURL(found).href
  await registerLoader(url)
  try {
    return (await import(/* @vite-ignore */ url)) as Readonly<Record<string, unknown>>
  } catch (error) {
    if (isMillraceError(error)) throw error
    throw loadError(path, `failed while it was loaded: ${errorMessage(error).replace(/\.$/, '')}`, error)
  }
}

function loadError(path: string, problem: string, cause?: unknown): MillraceError {
  return new MillraceError('user', 'pipeline-file', `${path}: ${problem}.`, cause)
}
