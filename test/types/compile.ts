import { join } from 'node:path'
import ts from 'typescript'
import { expect } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

export interface Found {
  readonly line: number
  readonly message: string
  /** Of the message, as it was told. */
  readonly lines: number
}

/** The files with other text in their place, compiled together: what is wrong in each, lines counted from 1. */
export function compile(texts: Readonly<Record<string, string>>): ReadonlyMap<string, readonly Found[]> {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root)
  const host = ts.createCompilerHost(options)
  const readFile = host.getSourceFile
  host.getSourceFile = (name, ...rest) => {
    const text = texts[name]
    return text === undefined ? readFile(name, ...rest) : ts.createSourceFile(name, text, ts.ScriptTarget.ES2023, true)
  }
  host.fileExists = name => name in texts || ts.sys.fileExists(name)
  const program = ts.createProgram(Object.keys(texts), options, host)
  expect(program.getOptionsDiagnostics().map(flat)).toEqual([])
  return new Map(
    Object.keys(texts).map(name => {
      const source = program.getSourceFile(name)
      if (!source) throw new Error(`The compiler did not read ${name}.`)
      return [name, [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(flat)]
    }),
  )
}

function flat(diagnostic: ts.Diagnostic): Found {
  const { file: source, start = 0 } = diagnostic
  return {
    line: source ? source.getLineAndCharacterOfPosition(start).line + 1 : 0,
    // Types that are text show their quotes escaped.
    message: ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ').replaceAll('\\"', '"'),
    lines: ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n').split('\n').length,
  }
}
