import { createHash } from 'node:crypto'
import { configError, MillraceError } from '../core/errors.ts'
import { text } from '../core/option-kinds.ts'
import { type OptionTable, readCall } from '../core/options.ts'
import { parseColumnType } from '../core/types.ts'
import type { Forms } from './forms.ts'
import type { PlanNode } from './node.ts'
import type { ColumnTypes } from './relation.ts'

export interface FunctionOptions {
  /**
   * Stands for the function in the plan: change it whenever the function answers differently. Without it the plan
   * holds the SHA-256 of the function's source text, so that any change of the text needs a new checkpoint. Neither
   * sees what the function reads from outside itself (a constant, an imported function): give a version where it does.
   */
  readonly version?: string
}

const functionOptions = {
  version: {
    kind: text(
      'text that is not empty, at most 100 characters',
      version => version.trim() !== '' && version.length <= 100,
    ),
    otherwise: "the SHA-256 of the function's source text",
    about: 'Stands for the function in the plan; change it whenever the function answers differently.',
  },
} satisfies OptionTable<FunctionOptions>

/** What the plan knows of a function, and so what the checkpoint holds it to. */
export interface FunctionCode {
  readonly [key: string]: string
}

/**
 * @param op names the operator in errors
 * @throws MillraceError `user` for what is no function, an unknown option, or a function whose text says nothing.
 */
export function functionCode(op: string, of: unknown, options: FunctionOptions): FunctionCode {
  if (typeof of !== 'function') throw configError(op, typeof of, `a function, such as ${op}((row) => ...)`)
  const { version } = readCall(op, functionOptions, [], options)
  if (version !== undefined) return { version }
  const source = Function.prototype.toString.call(of)
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source))
    throw configError(
      `${op}: version`,
      undefined,
      "a version such as '1', as a bound or built-in function has no source text to tell a change by",
    )
  if (/^async\b/.test(source))
    throw configError(op, 'an async function', 'a function that answers at once; millrace waits for none')
  return { sha256: createHash('sha256').update(source).digest('hex') }
}

/** As a person reads it. */
export function functionTold({ version, sha256 }: FunctionCode): string {
  return version === undefined
    ? `a function of TypeScript, ${sha256?.slice(0, 8)}`
    : `a function of TypeScript, version ${version}`
}

/** Refuses columns that no Arrow batch is made of. */
export function checkArrow(op: string, input: ColumnTypes): void {
  for (const [name, type] of Object.entries(input)) {
    if (parseColumnType(type, name).name !== 'STRUCT') continue
    throw new MillraceError(
      'user',
      'function-column',
      `${op}: column '${name}' is ${type}, which is not handed over as Arrow; ` +
        'leave it out with select(), or use mapRows().',
    )
  }
}

/**
 * State, partial rows and checkpoints are shared by equal plans, so two different functions must not look the same:
 * closures of one text do.
 */
export function checkDistinct(nodes: readonly PlanNode[], forms: Forms): void {
  const calls = new Map<string, unknown>()
  for (const node of nodes) {
    if (node.step.is !== 'function') continue
    const { key } = forms.get(node) as { readonly key: string }
    const { of } = node.step.call
    if (calls.has(key) && calls.get(key) !== of)
      throw new MillraceError(
        'user',
        'function-version',
        `${node.op}: two flows have different functions here that the plan cannot tell apart ` +
          `(the same source text or version); give each a version of its own: { version: '...' }.`,
        undefined,
        node.at,
      )
    calls.set(key, of)
  }
}
