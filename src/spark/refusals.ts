import { MillraceError, withCallSite } from '../core/errors.ts'
import type { Terminal } from '../plan/mini-batch.ts'
import { chain, type PlanNode, sourceSettings } from '../plan/node.ts'
import { declaredColumns } from '../plan/declared-column.ts'
import type { SourceSettings } from '../plan/source-settings.ts'
import type { Flow, Stage } from '../plan/stages.ts'

/** What another executor cannot do, with the name of what it is. */
export function notPortable(what: string): MillraceError {
  return new MillraceError('user', 'not-portable', `${what}. The plan of this pipeline is not portable.`)
}

/** @throws MillraceError `user` for the first thing in these flows that only this process can do */
export function checkPortable(flows: readonly Flow[], stages: readonly Stage[]): void {
  for (const { name, terminal } of flows) {
    for (const node of chain(terminal.node)) checkNode(node)
    checkEnd(name, terminal)
  }
  for (const stage of stages) checkStage(stage)
}

function checkNode(node: PlanNode): void {
  const { step, op, at } = node
  if (step.is === 'source') checkSource(sourceSettings(node))
  if (step.is === 'function')
    throw withCallSite(notPortable(`${op}: it calls a function of TypeScript, and expected are steps that are SQL`), at)
  if (step.is === 'aside')
    throw withCallSite(notPortable(`${op}: it takes what was set aside, which stays with the ledger`), at)
}

function checkSource(settings: SourceSettings): void {
  const { name, format, rescue, late } = settings
  const fail = (what: string) => {
    throw notPortable(`source ${name}: ${what}`)
  }
  if (format !== 'parquet') fail(`its format is ${format}, and expected is parquet`)
  if (rescue !== undefined) fail(`rescue: '${rescue}' keeps what does not fit, which only this process does`)
  if (late !== undefined) fail('late: { retention } has results corrected, which only this process does')
  const field = declaredColumns(settings).find(column => column.fact === undefined && column.from.includes('.'))
  if (field) fail(`column '${field.name}' is read FROM ${field.from}; expected a column and no field of a struct`)
}

function checkEnd(flow: string, { is, emit, ...end }: Terminal): void {
  if (is === 'rows') throw notPortable(`${flow}: ${'op' in end ? end.op : 'rows'}() hands rows to code of this process`)
  if (emit === 'update') throw notPortable(`${flow}: emit: 'update' gives changes, and expected are final results`)
}

function checkStage({ op, at, step }: Stage): void {
  const { gives, ports, learnt, crowd, corrections, partedBy, channels } = step
  const isOther = ports ?? learnt ?? crowd ?? corrections
  const isPlain = channels.every(({ life, pending }) => life.is === 'row' && pending === undefined)
  if (partedBy !== undefined && gives === 'closing' && isOther === undefined && isPlain) return
  const why = isPlain
    ? 'expected are aggregates, whose partial rows merge key by key'
    : 'its windows come from the rows, and expected are those whose borders are known before any row'
  throw withCallSite(notPortable(`${op}: ${why}`), at)
}
