import { registerHooks } from 'node:module'
import { extname } from 'node:path'
import { ownRoot } from '../core/own-root.ts'

/** The hooks stay for the process: a pipeline may import lazily. */
export async function registerLoader(pipelineUrl: string): Promise<void> {
  // The running millrace itself, from source or from the build: a second copy would break the identity of its types.
  const own = new Map([
    ['millrace', `${ownRoot}src/index${extname(import.meta.url)}`],
    ['millrace/testing', `${ownRoot}src/testing/index${extname(import.meta.url)}`],
  ])
  // Before the hooks, through which each of its few hundred modules would be found and read at twice the cost.
  await import(/* @vite-ignore */ own.get('millrace') as string)
  registerHooks({
    resolve: (specifier, context, nextResolve) => nextResolve(own.get(specifier) ?? specifier, context),
    load: (url, context, nextLoad) => {
      if (isTypeScript(url)) return nextLoad(url, { ...context, format: 'module-typescript' })
      return nextLoad(url, url === pipelineUrl ? { ...context, format: 'module' } : context)
    },
  })
}

/** Node refuses to strip types below node_modules; it says so itself. */
function isTypeScript(url: string): boolean {
  return url.startsWith('file:') && /\.m?ts$/.test(new URL(url).pathname) && !url.includes('/node_modules/')
}
