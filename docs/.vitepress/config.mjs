// The site of the documentation: `npm run docs` builds it. Pages are those of docs/, as they are; the reference of the
// API is made by typedoc beside them. A link that leads nowhere ends the build.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import llmstxt from 'vitepress-plugin-llms'

const docs = join(import.meta.dirname, '..')
const root = join(docs, '..')

/** Where files of the repository are read that are no pages of the site. Absent: their names are no links. */
const repository = process.env.MILLRACE_REPOSITORY

const title = path => /^# (.+)$/m.exec(readFileSync(join(docs, path), 'utf8'))?.[1]?.replaceAll('`', '') ?? path
const page = path => ({ text: title(path), link: `/${path.replace(/README\.md$/, '').replace(/\.md$/, '')}` })
const pagesOf = folder =>
  readdirSync(join(docs, folder))
    .filter(name => name.endsWith('.md') && name !== 'README.md')
    .toSorted()
    .map(name => page(`${folder}/${name}`))
const group = (text, items, collapsed = true) => ({ text, items, collapsed })

/** The marks around what is made from the code. */
function withoutComments(md) {
  md.core.ruler.before('normalize', 'without-comments', state => {
    state.src = state.src.replaceAll(/^<!-- .*? -->\n/gm, '')
  })
  return md
}

/** Links of pages to files outside docs/, such as ARCHITECTURE.md, lead to the repository, where that is known. */
function linksOutside(md) {
  md.core.ruler.push('links-outside', ({ tokens, env }) => {
    for (const { children } of tokens)
      for (const [at, token] of (children ?? []).entries()) changeOutside(children, at, token, env)
  })
}

function changeOutside(children, at, token, env) {
  const target = token.type === 'link_open' ? token.attrGet('href') : null
  if (target === null || /^[a-z]+:|^#|^\//.test(target)) return
  const [path, anchor] = target.split('#')
  const file = join(dirname(env.path ?? docs), path)
  if (!relative(docs, file).startsWith('..')) return
  if (repository !== undefined) {
    token.attrSet('href', `${repository}${relative(root, file)}${anchor === undefined ? '' : `#${anchor}`}`)
    return
  }
  token.attrs = null
  token.tag = 'span'
  const close = children.slice(at).find(({ type }) => type === 'link_close')
  token.type = 'text_open'
  if (close) Object.assign(close, { tag: 'span', type: 'text_close' })
}

export default {
  title: 'millrace',
  description: 'A streaming micro-batch processor in TypeScript for data files in S3',
  lang: 'en',
  rewrites: { 'README.md': 'index.md', ':folder/README.md': ':folder/index.md' },
  cleanUrls: true,
  lastUpdated: false,
  // Pages hold no HTML but comments, so what stands in angle brackets is text.
  markdown: { html: false, config: md => linksOutside(withoutComments(md)) },
  vite: { plugins: [llmstxt({ domain: process.env.MILLRACE_SITE })] },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Start', link: '/start/first-result' },
      { text: 'Guides', link: '/#guides' },
      { text: 'Operators', link: '/reference/operators' },
      { text: 'API', link: '/api/' },
    ],
    sidebar: [
      group('Start', ['start/first-result.md', 'start/live.md', 'start/docker.md'].map(page), false),
      group(
        'Concepts',
        ['event-time', 'windows', 'late-rows', 'state-and-checkpoints', 'exactly-once', 'ledger-and-replay'].map(name =>
          page(`concepts/${name}.md`),
        ),
        false,
      ),
      group('Guides', [...pagesOf('guides'), page('long-runs.md'), page('performance.md')]),
      group('Reference', [...pagesOf('reference'), page('metrics.md'), { text: 'API', link: '/api/' }]),
      group('Coming from', pagesOf('coming-from')),
      group('Internals', [...pagesOf('internals'), ...pagesOf('internals/formats'), page('conformance.md')]),
      group('Decisions', [{ text: 'Decisions', link: '/decisions/' }, ...pagesOf('decisions')]),
    ],
  },
}
