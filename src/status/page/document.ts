import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ownRoot } from '../../core/own-root.ts'
import type { PageFacts } from './facts.ts'

/** The modules of the browser, each after those that it imports. They lie beside this file, in the package too. */
const modules = ['format', 'dom', 'chart', 'head', 'sources', 'windows', 'plan', 'epochs', 'tables', 'requests', 'main']

/** The page as one document that asks for nothing else, but for the events of a live run. */
export interface PageDocument {
  readonly html: string
  /** What a browser may load and run of it: Content-Security-Policy. */
  readonly policy: string
}

interface Parts {
  readonly style: string
  readonly script: string
  /** Of both. */
  readonly id: string
}

let known: Parts | undefined

function parts(): Parts {
  if (known) return known
  const style = read('page.css')
  const script = modules.map(name => withoutImports(read(`${name}.js`))).join('')
  return (known = { style, script, id: createHash('sha256').update(style).update(script).digest('hex').slice(0, 16) })
}

/** Of the style and script of the document: another version of millrace may have others. */
export const documentId = (): string => parts().id

/** @param isLive it follows the events of the server that it came from; else it stands as it is, as a file does */
export function pageDocument(facts: PageFacts, isLive: boolean): PageDocument {
  const { style, script, id } = parts()
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    'img-src data:',
    ...(isLive ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  const html = [
    `<!doctype html><html lang="en"${isLive ? ` data-live="${id}"` : ''}><head><meta charset="utf-8">`,
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<title>millrace</title><link rel="icon" href="data:,"><style>${style}</style></head>`,
    '<body><noscript>This page is drawn by its own script. Without it, ask for the JSON: curl does.</noscript>',
    `<script type="application/json" id="facts">${embedded(facts)}</script>`,
    `<script type="module">${script}</script></body></html>\n`,
  ].join('\n')
  return { html, policy: `${policy}; frame-ancestors 'none'` }
}

/** JSON that no text in it can end: neither its script nor its comment. */
function embedded(facts: PageFacts): string {
  return JSON.stringify(facts).replaceAll('<', '\\u003c')
}

function read(name: string): string {
  return readFileSync(new URL(`${ownRoot}src/status/page/browser/${name}`), 'utf8')
}

/** In the document all modules are one: imports are in scope already, and nothing is exported. */
function withoutImports(source: string): string {
  return source.replaceAll(/^import [^'"]*['"][^'"]*['"]\n/gm, '').replaceAll(/^export /gm, '')
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}
