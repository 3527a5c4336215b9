import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { root } from '../cli/child.ts'

/** What stands above a public function, as a reference page has it. */
export interface Documented {
  readonly name: string
  readonly parameters: readonly string[]
  readonly about: string
  readonly params: readonly (readonly [name: string, about: string])[]
  readonly errors: string
}

/** The documentation of functions that `src/index.ts` exports from a folder, in the order of its lines. */
export function documentedIn(folder: string): readonly Documented[] {
  const index = readFileSync(join(root, 'src/index.ts'), 'utf8')
  return [...index.matchAll(/export \{([^}]+)\} from '\.\.\/([^']+)'/g)].flatMap(([, names = '', path = '']) => {
    if (!path.startsWith(`${folder}/`)) return []
    const wanted = names.split(',').map(name => name.trim())
    const file = ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.ES2023, true)
    const seen = new Set<string>()
    return file.statements.flatMap(statement => {
      if (!ts.isFunctionDeclaration(statement) || !statement.name) return []
      const name = statement.name.text
      // Of overloads the first one is documented.
      if (!wanted.includes(name) || seen.has(name)) return []
      seen.add(name)
      return [documented(name, statement)]
    })
  })
}

function documented(name: string, statement: ts.FunctionDeclaration): Documented {
  const comment = ts.getJSDocCommentsAndTags(statement).find(ts.isJSDoc)
  if (!comment) throw new Error(`${name} has no documentation`)
  const lines = comment
    .getText()
    .replace(/^\/\*\*|\*\/$/g, '')
    .split('\n')
    .map(line => line.replace(/^\s*\* ?/, '').trimEnd())
  const text = lines.join('\n').trim()
  const [about = '', ...tags] = text.split(/^@/m)
  const tagged = (tag: string) =>
    tags
      .filter(each => each.startsWith(`${tag} `))
      .map(each =>
        each
          .slice(tag.length + 1)
          .replaceAll(/\s+/g, ' ')
          .trim(),
      )
  return {
    name,
    parameters: statement.parameters.map(parameter => parameter.name.getText()),
    about: about.trim(),
    params: tagged('param').map(line => {
      const [, parameter = '', said = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
      return [parameter, said] as const
    }),
    errors: tagged('throws').join(' '),
  }
}

/** As a page has it: the text, then a list of parameters, then errors. */
export function describedAs({ about, params, errors }: Documented): readonly string[] {
  return [
    about,
    ...(params.length > 0 ? ['', ...params.map(([name, said]) => `- \`${name}\`: ${said}`)] : []),
    ...(errors ? ['', `Errors: ${errors}`] : []),
  ]
}
