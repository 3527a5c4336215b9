import { join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

/** What `exports` of package.json gives to users, by source file. A wanted change is written by `npm test -- -u`. */
const entries = [
  { name: 'millrace', file: 'src/index.ts' },
  { name: 'millrace/testing', file: 'src/testing/index.ts' },
]

test.each(entries)('the public exports of $name are the ones written down', async ({ name, file }) => {
  const exports = publicExports(join(root, file))
  expect(exports.length).toBeGreaterThan(0)
  const lines = exports.map(({ name, kind }) => `${kind} ${name}`)
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(`${name.replace('/', '-')}-exports.txt`)
})

test.each(entries)('$name exports at run time exactly its values, and no default', async ({ file }) => {
  const values = publicExports(join(root, file))
    .filter(({ kind }) => !['type', 'interface'].includes(kind))
    .map(({ name }) => name)
  const module: object = await import(join(root, file))
  expect(Object.keys(module).toSorted()).toEqual(values.toSorted())
  expect(values).not.toContain('default')
})

/** Names and kinds as the compiler sees them, sorted by name: a type that becomes a class is a change as well. */
function publicExports(file: string): { name: string; kind: string }[] {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root)
  const program = ts.createProgram([file], options)
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(file)
  const module = source && checker.getSymbolAtLocation(source)
  if (!module) throw new Error(`${file} is missing or exports nothing`)
  return checker
    .getExportsOfModule(module)
    .map(symbol => {
      const typeOnly = symbol.declarations?.some(ts.isTypeOnlyExportDeclaration) ?? false
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
      return { name: symbol.name, kind: kindOf(target.flags, typeOnly) }
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function kindOf(flags: ts.SymbolFlags, typeOnly: boolean): string {
  if (flags & ts.SymbolFlags.Interface) return 'interface'
  if (typeOnly || flags & ts.SymbolFlags.TypeAlias) return 'type'
  if (flags & ts.SymbolFlags.Class) return 'class'
  if (flags & ts.SymbolFlags.Function) return 'function'
  if (flags & ts.SymbolFlags.Variable) return 'const'
  throw new Error(`an export of unforeseen kind, symbol flags ${flags}`)
}
