import { clockedBy } from '../engine/fold/partials.ts'
import { placedBy } from '../engine/fold/placed.ts'
import { type Relation, rowHidden, watermarkColumn } from '../plan/relation.ts'
import { besideRows, clockShape, type Stage } from '../plan/stages.ts'
import type { Channel, EpochView } from '../plan/step.ts'
import { parametrised } from './parametrised.ts'
import type { PortableChannel, PortableEmission, PortableQuery, PortableStage } from './portable-plan.ts'
import { notPortable } from './refusals.ts'

/** The hidden columns of what a stage gave. */
export const givenHidden: readonly string[] = rowHidden.filter(name => name !== watermarkColumn)

/** The queries of a stage. @param input its rows, without the watermarks of its clock */
export function portableStage(
  stage: Stage,
  number: number,
  input: Relation,
): Omit<PortableStage, 'id' | 'op' | 'reads' | 'isByRow'> {
  const { step } = stage
  const clock = `clock_${number}`
  const clocked = clockedBy(input, `SELECT seq, before FROM ${clock}`)
  const rows = besideRows(step, clocked, step.beside && `(${step.beside.table(clocked)})`)
  const results = `results_${number}`
  const emitted = step.emit(viewOf(number, null, 0n))
  const given = { ...emitted, sql: `SELECT * FROM ${results}` }
  return {
    clock: { relation: clock, inputs: clockInputs(stage) },
    partedBy: step.partedBy ?? [],
    channels: step.channels.map(channel => portableChannel(stage, channel, partialsName(number, channel), rows)),
    late: { sql: step.late.rows(rows), columns: step.late.columns, reason: step.late.reason },
    emission: portableEmission(stage, number, results),
    given: {
      relation: `given_${number}`,
      sql: placedBy(given, `SELECT seq, after FROM ${clock}`, false).sql,
    },
    flushLimit: queryOf(stage, ['limit'], ({ limit }) => {
      const rows = `SELECT max(${emitted.timeUs}) AS flush_limit FROM ${results}`
      return `${rows} WHERE ${emitted.startUs} <= ${limit}`
    }),
  }
}

function clockInputs(stage: Stage): PortableStage['clock']['inputs'] {
  return clockShape(stage).inputs.map(input =>
    input.is === 'source' ? input : { ...input, holdUs: String(input.holdUs) },
  )
}

function partialsName(number: number, { name }: { readonly name: string }): string {
  return name === '' ? `partials_${number}` : `partials_${number}_${name}`
}

function portableChannel(stage: Stage, channel: Channel, relation: string, rows: Relation): PortableChannel {
  const { name, columns, order, neededBy, closesAt, emitsFrom, flushAt } = channel
  return {
    name,
    relation,
    columns,
    order,
    neededBy: neededBy ?? null,
    partial: channel.partial(rows),
    merge: channel.merge(`SELECT * FROM ${relation}`),
    life: { is: 'row', closesAt },
    emitsFrom,
    flushAt: flushAt
      ? queryOf(stage, ['limit'], ({ limit }) => `SELECT max(${flushAt(limit)}) AS flush_at FROM ${relation}`)
      : null,
  }
}

/** All of a stage's partial rows in one relation a channel: a part of them, or all. */
function viewOf(number: number, fromUs: bigint | null, toUs: bigint): EpochView {
  const none = () => {
    throw new Error('unreachable: a step that gives what closes asks for its partial rows alone')
  }
  return {
    rows: { sql: '', columns: {}, hidden: [] },
    partials: channel => [{ sql: `SELECT * FROM ${partialsName(number, channel)}`, isMerged: false }],
    committed: none,
    own: none,
    fromUs,
    toUs,
  }
}

function portableEmission(stage: Stage, number: number, relation: string): PortableEmission {
  const { step } = stage
  const { columns, hidden } = step.emit(viewOf(number, null, 0n))
  return {
    relation,
    first: queryOf(stage, ['to'], ({ to }) => step.emit(viewOf(number, null, to)).sql),
    next: queryOf(stage, ['from', 'to'], ({ from, to }) => step.emit(viewOf(number, from, to)).sql),
    columns,
    hidden,
  }
}

function queryOf<N extends string>(
  { op }: Stage,
  names: readonly N[],
  make: (values: Readonly<Record<N, bigint>>) => string,
): PortableQuery {
  const query = parametrised(names, make)
  if (query === undefined) throw notPortable(`${op}: its queries are other ones for each watermark`)
  return query
}
