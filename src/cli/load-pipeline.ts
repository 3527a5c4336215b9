import { stat } from 'node:fs/promises'
import { extname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { callSiteIn } from '../core/call-site.ts'
import { errorMessage, isMillraceError, MillraceError, withCallSite } from '../core/errors.ts'
import { registerLoader } from './loader-hooks.ts'
import { isPipeline, type Pipeline } from '../plan/pipeline.ts'

const accepted = ['.ts', '.mts', '.js', '.mjs', '.sql']

/**
 * Imports the user's pipeline file and returns its default export; one of SQL is compiled.
 *
 * The file is read as an ES module whatever `type` its package.json names: `npm init -y` writes commonjs, and Node
 * would then refuse `import`. So is every TypeScript file that it imports, installed packages apart.
 */
export async function loadPipeline(file: string): Promise<Pipeline> {
  const path = resolve(file)
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile())
    throw loadError(
      file,
      `${found ? 'is no file' : 'does not exist'}; expected a TypeScript, JavaScript or SQL file, such as pipeline.ts`,
    )
  if (!accepted.includes(extname(path)))
    throw loadError(file, `'${extname(path)}' is no extension of a pipeline; expected ${accepted.join(', ')}`)

  if (extname(path) === '.sql') return (await import('./load-sql.ts')).loadSql(path)
  const url = pathToFileURL(path).href
  await registerLoader(url)
  let module: { readonly default?: unknown }
  try {
    module = await import(/* @vite-ignore */ url)
  } catch (error) {
    throw explainImport(file, error)
  }
  if (!isPipeline(module.default)) {
    const names = Object.keys(module)
    const exported = names.length === 0 ? 'no export at all' : `the exports ${names.join(', ')} but no default`
    const actual = 'default' in module ? `${describeValue(module.default)} as its default export` : exported
    throw loadError(
      file,
      `found ${actual}; expected a pipeline: export default pipeline('name', { checkpoint }, ...flows)`,
    )
  }
  return module.default
}

function describeValue(value: unknown): string {
  if (value === null || value === undefined) return `${value}`
  if (typeof value === 'function') return `a function '${value.name}'`
  if (typeof value !== 'object') return `the ${typeof value} ${JSON.stringify(value)}`
  const name = value.constructor?.name
  return name && name !== 'Object' ? `a value of class ${name}` : 'a plain object'
}

function explainImport(file: string, error: unknown): unknown {
  // A mistake in the pipeline itself, told by source(), where() and the rest: they are called where it stands.
  if (isMillraceError(error)) return withCallSite(error, callSiteIn(error.stack))
  const message = errorMessage(error)
  // Node puts 'file:///path:line' on the stack's first line for what it could not parse or link.
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const place = /^(file:\/\/\S+):(\d+)$/m.exec(stack.slice(0, stack.indexOf('\n')))
  const where = place ? ` at ${fileURLToPath(place[1] as string)}:${place[2]}` : ''
  if (error instanceof SyntaxError) return loadError(file, `cannot be read${where}: ${message}`, error)
  if (error instanceof ReferenceError && /in ES module scope/.test(message))
    return loadError(file, `is read as an ES module: ${message}; expected import and export`, error)
  return loadError(file, `failed while it was loaded: ${message}`, error)
}

function loadError(file: string, problem: string, cause?: unknown): MillraceError {
  return new MillraceError('user', 'pipeline-file', `${file}: ${problem.replace(/\.$/, '')}.`, cause)
}
