import { randomUUID } from 'node:crypto'
import type { Manifest } from '../../../checkpoints/types.ts'
import { sinkOf } from '../../../connectors/registry.ts'
import { wholeWallMs } from '../../core/clock.ts'
import { configError, MillraceError } from '../../core/errors.ts'
import { objectAddress } from '../../core/object-address.ts'
import type { ObjectStore } from '../../core/ports.ts'
import type { Operation, SinkPort } from '../../core/sink-port.ts'
import { correctionKey } from '../../plan/corrections.ts'
import type { Terminal } from '../../plan/mini-batch.ts'
import { flowName } from '../../plan/plan-ids.ts'
import type { ColumnTypes } from '../../plan/relation.ts'
import type { Behind, Sink, SinkContext, SinkKind } from '../../plan/sink.ts'
import { changesBy, endColumns } from '../../plan/updates.ts'
import type { Components } from '../components.ts'
import { type HoldLimits, holdLimits } from '../state/held.ts'
import { type Output, behindDefault } from './output.ts'
import { duckdbForOnce } from './sink-duckdb.ts'

/** A flow that ends in a sink. */
export interface SinkEnd {
  /** The flow's name. */
  readonly name: string
  /** At the place where it is to be in this run. */
  readonly sink: Sink
  readonly kind: SinkKind
  readonly behind: Behind
  /** Until when committed rows wait for those of later epochs. */
  readonly hold: HoldLimits | undefined
  readonly columns: ColumnTypes
  readonly operation: Operation
  /** Results that were given may change by late rows: what tells them apart. */
  readonly corrected: readonly string[] | undefined
  /** Names its place in errors. */
  readonly field: string
}

/**
 * The flows that end in a sink, in order. Flows that share a folder have their names in those of its files.
 *
 * @param places another place: of the only one, or by the names of flows
 */
export function sinkEnds(
  terminals: readonly Terminal[],
  places: Places | undefined,
  kinds: readonly SinkKind[],
): readonly SinkEnd[] {
  const ends = terminals.flatMap((terminal, index) =>
    terminal.is === 'sink' ? [{ ...terminal, name: flowName(index) }] : [],
  )
  const moved = movedTo(
    ends.map(({ name }) => name),
    places,
  )
  return ends.map(({ name, sink, behind, ...end }) => {
    const kind = sinkOf(sink, name, kinds)
    const columns = endColumns(end)
    kind.rows?.(sink, columns, name, changesBy(end))
    const corrected = end.emit === 'update' ? undefined : correctionKey(end, 'to')
    if (corrected && !kind.takesCorrections) throw cannotCorrect(kind, name)
    const uri = moved.get(name)
    return {
      name,
      kind,
      sink: uri === undefined ? sink : (kind.movedTo?.(sink, uri, 'output') ?? { ...sink, uri }),
      behind: { ...behindDefault, ...kind.behind, ...behind },
      hold: sink.hold && holdLimits(sink.hold, name),
      columns,
      operation: operationOf(end),
      corrected,
      field: uri === undefined ? `${name}: ${sink.sink}` : 'output',
    }
  })
}

function cannotCorrect({ call }: SinkKind, flow: string): MillraceError {
  return new MillraceError(
    'user',
    'plan',
    `${flow}: its source has late: { retention }, and ${call} does not take back results that it was given. Write ` +
      "to(..., { emit: 'update' }), which tells what changes of them, or leave the option out.",
  )
}

/** What the rows of a flow are to its end. */
export function operationOf({ emit }: Pick<Terminal, 'emit'>): Operation {
  return emit === 'update' ? 'change' : 'append'
}

/** Where results go instead: of the only sink, or by the names of flows. */
export type Places = string | Readonly<Record<string, string>>

/** The other place of a flow, if it has one. */
export function placeOf(places: Places | undefined, flow: string): string | undefined {
  return typeof places === 'string' ? places : places?.[flow]
}

function movedTo(names: readonly string[], places: Places | undefined): ReadonlyMap<string, string> {
  if (places === undefined) return new Map()
  if (typeof places !== 'string') {
    for (const [name, place] of Object.entries(places))
      if (!names.includes(name))
        throw configError('output', `${name}=${place}`, `the name of a flow that ends in a sink: ${names.join(', ')}`)
    return new Map(Object.entries(places))
  }
  const [only, ...others] = names
  if (only === undefined || others.length > 0)
    throw configError(
      'output',
      places,
      'a pipeline with exactly one sink; this one has ' +
        `${names.length}${only === undefined ? '' : `, so name the flow: ${only}=${places}`}`,
    )
  return new Map([[only, places]])
}

/** What a run lends its sinks. */
export interface SinkMeans extends Pick<SinkContext, 'duckdb'> {
  /** What a store that a sink opens is made into. */
  withStore(store: ObjectStore): ObjectStore
}

const noRun: SinkMeans = { withStore: store => store, duckdb: duckdbForOnce }

/** Opens a sink for a checkpoint. */
export function openSink(
  { name, sink, kind, columns, operation, corrected, field }: Omit<SinkEnd, 'behind' | 'hold'>,
  { checkpointId }: Pick<Manifest, 'checkpointId'>,
  pipeline: string,
  { openWritable, clock }: Pick<Components, 'openWritable' | 'clock'>,
  { withStore, duckdb }: SinkMeans = noRun,
): Promise<SinkPort> {
  return kind.open(sink, {
    output: name,
    columns,
    operation,
    ...(corrected && { hasCorrections: true }),
    checkpointId,
    pipeline,
    newId: randomUUID,
    sleep: clock.sleep,
    nowMs: () => wholeWallMs(clock),
    openStore: async address => withStore(await openWritable(address, field)),
    duckdb,
  })
}

/** The outputs that are sinks, in the order of their flows. */
export function sinksOf(outputs: ReadonlyMap<string, Output>): readonly Output[] {
  return [...outputs.values()].filter(({ is }) => is === 'sink')
}

/** Where garbage of sinks is deleted, by the names of their flows. */
export function placesOf(outputs: ReadonlyMap<string, Output>) {
  return Object.fromEntries(
    sinksOf(outputs).flatMap(({ name, sink: { discard } }) => (discard ? [[name, { delete: discard }] as const] : [])),
  )
}

/** A published file as a person would name it. */
export function outputAddress(outputs: ReadonlyMap<string, Output>, output: string, key: string): string {
  return objectAddress(outputs.get(output)?.sink.address ?? output, key)
}
