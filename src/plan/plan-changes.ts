import type { Json } from '../core/json.ts'
import { canonicalOptions, type Forms } from './forms.ts'
import type { Gate } from './gate.ts'
import type { Terminal } from './mini-batch.ts'
import { chain, type PlanNode } from './node.ts'
import { endOf, equality, flowName, isEqual, type IsSame, type StepIds } from './plan-ids.ts'
import { type StoredNode, type StoredPlan, stepsOf, writtenOptions } from './stored-plan.ts'

/** A pipeline beside the plan of its checkpoint. */
interface Compared {
  readonly stored: StoredPlan
  readonly pipeline: string
  readonly terminals: readonly Terminal[]
  readonly forms: Forms
  readonly gate: Pick<Gate, 'canonical'>
}

/**
 * Where a pipeline differs from the plan of its checkpoint, in the user's words; nothing where it is the same, however
 * it is written.
 *
 *     flow-1: where predicate: was 'amount > 0', is now 'amount > 1'
 *
 * @param ids those that `takenIds` gave
 */
export async function changesSince(compared: Compared, ids: readonly StepIds[]): Promise<readonly string[]> {
  const { stored, pipeline, terminals } = compared
  const name = stored.pipeline === pipeline ? [] : [changed('the name of the pipeline', stored.pipeline, pipeline)]
  const flows = new Map<string, string[]>()
  for (const [index, terminal] of terminals.entries())
    for (const change of await flowChanges(compared, index, terminal, ids[index]))
      flows.set(change, [...(flows.get(change) ?? []), flowName(index)])
  const gone = Object.keys(stored.flows).slice(terminals.length)
  return [
    ...name,
    // What flows share is said once.
    ...[...flows].map(([change, names]) => `${names.join(' and ')}${change}`),
    ...gone.map(flow => `${flow} is gone`),
  ]
}

async function flowChanges(
  compared: Compared,
  index: number,
  terminal: Terminal,
  ids: StepIds | undefined,
): Promise<readonly string[]> {
  const { stored } = compared
  const before = stored.flows[flowName(index)]
  if (before === undefined) return [' is new']
  const end = endOf(terminal)
  const steps = before.from === ids?.get(terminal.node) ? [] : await stepChanges(compared, index, terminal.node)
  const ends =
    before.op === end.op
      ? differences(end.op, both(before.options ?? {}), both(end.options ?? {}))
      : [changed('its end', before.op, end.op)]
  return [...steps, ...ends].map(change => `: ${change}`)
}

/** The steps of a flow, aligned so that the fewest have changed, gone or come. */
async function stepChanges(
  { stored, forms, gate }: Compared,
  index: number,
  end: PlanNode,
): Promise<readonly string[]> {
  const was = stepsOf(stored, flowName(index))
  const is = chain(end)
  const pairs = await aligned(was, is, equality(forms, gate))
  const changes: string[] = []
  for (const [before, after] of pairs) {
    if (before === undefined) changes.push(`${shownStep(after as PlanNode)} is new`)
    else if (after === undefined) changes.push(`${shownStep({ ...before, options: writtenOptions(before) })} is gone`)
    else changes.push(...(await optionChanges(before, after, forms, gate)))
  }
  return changes
}

async function optionChanges(
  stored: StoredNode,
  node: PlanNode,
  forms: Forms,
  gate: Pick<Gate, 'canonical'>,
): Promise<readonly string[]> {
  const written = writtenOptions(stored)
  const canonical = await canonicalOptions(node, written, gate)
  const { name } = node.options as { readonly name?: unknown }
  const step = node.step.is === 'source' ? `source ${String(name)}` : node.op
  return differences(step, { canonical, written }, { canonical: forms.get(node)?.options, written: node.options })
}

type Pair = readonly [StoredNode | undefined, PlanNode | undefined]

/** The alignment of least cost: an equal pair costs nothing, one that differs in its options less than two steps. */
async function aligned(was: readonly StoredNode[], is: readonly PlanNode[], isSame: IsSame): Promise<readonly Pair[]> {
  interface Best {
    readonly cost: number
    readonly pairs: readonly Pair[]
  }
  let row: Best[] = [{ cost: 0, pairs: [] }]
  for (const node of is) row.push(plus(row.at(-1) as Best, 2, [undefined, node]))
  for (const stored of was) {
    const next: Best[] = [plus(row[0] as Best, 2, [stored, undefined])]
    for (const [place, node] of is.entries()) {
      const steps = [
        plus(row[place + 1] as Best, 2, [stored, undefined]),
        plus(next[place] as Best, 2, [undefined, node]),
      ]
      if (stored.op === node.op)
        steps.push(plus(row[place] as Best, (await isSame(stored, node)) ? 0 : 1, [stored, node]))
      next.push(steps.reduce((a, b) => (b.cost <= a.cost ? b : a)))
    }
    row = next
  }
  return (row.at(-1) as Best).pairs

  function plus({ cost, pairs }: Best, more: number, pair: Pair): Best {
    return { cost: cost + more, pairs: [...pairs, pair] }
  }
}

/** A step as a user would find it in the file: where('amount > 0'). */
function shownStep({ op, options }: { readonly op: string; readonly options: Json }): string {
  const values = Object.values(options as object)
  const [only] = values.length === 1 ? values : []
  const list = (Array.isArray(only) ? only : [only]) as readonly Json[]
  return list.every(value => typeof value === 'string')
    ? `${op}(${list.map(shown).join(', ')})`
    : `${op}(${JSON.stringify(options)})`
}

/** A value in canonical form, by which it is compared, and as the user wrote it, as it is shown. */
interface Written {
  readonly canonical: Json | undefined
  readonly written: Json | undefined
}

/** What is written in one way only. */
function both(value: Json): Written {
  return { canonical: value, written: value }
}

/** Where two values differ, each as 'what path: was X, is now Y'. Lists are shown as a whole. */
export function differences(what: string, was: Written, is: Written, path: readonly string[] = []): readonly string[] {
  if (isEqual(was.canonical, is.canonical)) return []
  if (isObject(was.canonical) && isObject(is.canonical)) {
    const names = [...new Set([...Object.keys(was.canonical), ...Object.keys(is.canonical)])]
    const inside = names.flatMap(name => differences(what, part(was, name), part(is, name), [...path, name]))
    if (inside.length > 0) return inside
    // The same entries in another order: the order of columns is part of the output.
    const order = (value: Json | undefined) => Object.keys(value as object).join(', ')
    return [`${named(what, path)}: the order was ${order(was.canonical)}, is now ${order(is.canonical)}`]
  }
  // The plan has no more of a function's text than its hash.
  if (path.join('.') === 'function.sha256') return [`${what}: the source text of its function has changed`]
  return [changed(named(what, path), was.written, is.written)]
}

function part({ canonical, written }: Written, name: string): Written {
  const of = (value: Json | undefined) =>
    isObject(value) && Object.hasOwn(value, name) ? (value[name] as Json) : undefined
  return { canonical: of(canonical), written: of(written) }
}

function named(what: string, path: readonly string[]): string {
  return path.length === 0 ? what : `${what} ${path.join('.')}`
}

function changed(what: string, was: Json | undefined, is: Json | undefined): string {
  return `${what}: was ${shown(was)}, is now ${shown(is)}`
}

function shown(value: Json | undefined): string {
  if (value === undefined) return 'absent'
  return typeof value === 'string' ? `'${value}'` : JSON.stringify(value)
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
