import type { SqlRow } from '../../core/ports.ts'
import { configError } from '../../core/errors.ts'
import { lookupRows } from '../../plan/lookup.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import { type Relation, timeColumn } from '../../plan/relation.ts'
import { id, text } from '../../plan/sql.ts'
import { type Flow, leavesOf } from '../../plan/stages.ts'
import type { FunctionRun } from '../fold/function-steps.ts'
import { timedRows } from '../read/good-rows.ts'
import type { Places } from '../publish/outputs.ts'
import type { BadRow } from '../read/bad-row.ts'
import type { MarkedObject } from '../read/marked-object.ts'
import type { FlowOfRow, ReadingAgain, RowFacts, RowFate, RowStands } from '../report/why-row.ts'
import { eachPart } from '../state/channels.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import { markOf } from '../state/ledger.ts'
import { type BoundCheckpoint, withBoundCheckpoint } from './bound-checkpoint.ts'
import type { ClockHistory } from './clock-history.ts'
import { createRowReader, type RowReader } from './read-again.ts'
import { reachOfEpoch } from './reached.ts'
import { meetStage } from './row-stage.ts'
import { type AppliedLate, followBranch, inTable, type RowWalk } from './row-walk.ts'
import { historyOf } from './window-facts.ts'

/** What is known of a row of a pipeline's objects. */
export interface WhyRow {
  readonly pipeline: string
  readonly checkpoint: string
  /** The last one that is committed. */
  readonly epoch: number
  /** Of each version of the object in the ledger, the last first: the first ones, where there are many. */
  readonly rows: readonly RowFacts[]
  /** So many more versions there are. */
  readonly more: number
}

export interface WhyRowOptions {
  /** As the ledger has it: relative to the place of the source. */
  readonly key: string
  /** Counted from 0, as in the late ledger and among bad rows. */
  readonly row: number
  /** 'flow-2'; absent: all flows. */
  readonly flow?: string
  /** Absent: the pipeline's own. */
  readonly checkpoint?: string
  /** Other places of the sources than the pipeline's own. */
  readonly input?: Places
  /** Told before an object is read again. */
  onRead?(reading: ReadingAgain): void
}

/** Versions of one object that are told. */
const versionsMax = 3

/**
 * What became of a row: by what the checkpoint holds, and by reading its object again. Claims nothing: safe beside a
 * running owner. Functions of the pipeline run over the row once more.
 *
 * @throws MillraceError `user` where there is no checkpoint of this pipeline, and for an object that its ledger has
 * nothing of
 */
export async function whyRow(pipeline: Pipeline, options: WhyRowOptions): Promise<WhyRow> {
  return withBoundCheckpoint(pipeline, options.checkpoint, async found => {
    const { flow: name, key, row, input, onRead = () => {} } = options
    const flows = found.flows.filter(flow => name === undefined || flow.name === name)
    if (flows.length === 0) throw configError('flow', name, `one of ${found.flows.map(one => one.name).join(', ')}`)
    const entries = await entriesOf(found, key)
    const applies = await found.executor.rows(`SELECT * FROM ledger WHERE "is" = 'apply' ORDER BY seq`)
    const numbers = [...entries, ...applies].map(entry => Number(entry.seq))
    const history = await historyOf(found, [], numbers)
    const reader = await createRowReader(found, input)
    const asking = { found, flows, history, applied: appliedOf(applies, history), reader, row, onRead }
    const rows: RowFacts[] = []
    for (const entry of entries.slice(0, versionsMax)) rows.push(await factsOf(asking, entry))
    const { epoch } = found.reader.manifest
    const more = Math.max(0, entries.length - versionsMax)
    return { pipeline: pipeline.name, checkpoint: found.address, epoch, rows, more }
  })
}

/** The last entry of each version of an object. */
async function entriesOf({ executor, reader }: BoundCheckpoint, key: string): Promise<readonly SqlRow[]> {
  const entries = await executor.rows(
    `SELECT * FROM ledger WHERE "is" = 'object' AND key = ${text(key)} ` +
      'QUALIFY row_number() OVER (PARTITION BY source, bucket, e_tag, version_id ORDER BY seq DESC) = 1 ' +
      'ORDER BY seq DESC',
  )
  if (entries.length > 0) return entries
  const near = await executor.rows(
    `SELECT DISTINCT key FROM ledger WHERE "is" = 'object' AND (ends_with(key, ${text(`/${key}`)}) ` +
      `OR ends_with(${text(key)}, '/' || key)) ORDER BY key LIMIT 3`,
  )
  const like = near.length === 0 ? '' : `, such as ${near.map(one => `'${String(one.key)}'`).join(', ')}`
  throw configError(
    'row',
    key,
    `the key of an object in the ledger${like}; as of epoch ${reader.manifest.epoch} it has none of that key, ` +
      'so no row of it was read',
  )
}

function appliedOf(applies: readonly SqlRow[], { before }: ClockHistory): readonly AppliedLate[] {
  return applies.map(row => {
    const mark = markOf(row)
    if (mark.is !== 'apply') throw new Error(`unreachable: entry ${String(row.seq)} applies late rows`)
    return { epoch: Number(row.epoch), named: mark, before: before.get(Number(row.seq)) as LedgerPosition }
  })
}

interface Asking {
  readonly found: BoundCheckpoint
  readonly flows: readonly Flow[]
  readonly history: ClockHistory
  readonly applied: readonly AppliedLate[]
  readonly reader: RowReader
  readonly row: number
  onRead(reading: ReadingAgain): void
}

async function factsOf(asking: Asking, entry: SqlRow): Promise<RowFacts> {
  return {
    source: String(entry.source),
    key: String(entry.key),
    row: asking.row,
    seq: Number(entry.seq),
    epoch: Number(entry.epoch),
    eTag: String(entry.e_tag),
    stands: await standsOf(asking, entry),
  }
}

async function standsOf(asking: Asking, entry: SqlRow): Promise<RowStands> {
  const { row, onRead } = asking
  if (entry.outcome !== 'read')
    return { is: 'not-counted', outcome: String(entry.outcome), reason: (entry.reason ?? null) as string | null }
  if (row >= Number(entry.rows)) return { is: 'no-such-row', rows: Number(entry.rows) }
  const faults = Number(entry.quarantined_rows) > 0 ? await faultsOf(asking, entry) : []
  if (faults.length > 0) return { is: 'bad', faults, takenBy: takersOfBad(asking, String(entry.source)) }
  onRead({ objects: 1, bytes: Number(entry.size_bytes), key: String(entry.key) })
  const marked = await asking.reader.read(entry)
  try {
    if (!marked.good) return { is: 'not-told', why: goneText(marked) }
    return await walkFlows(asking, entry, marked)
  } finally {
    await marked.release()
  }
}

function goneText({ outcome, reason }: MarkedObject): string {
  const why = (reason ?? outcome).replace(/\.$/, '')
  return `it was good and was taken, and its object cannot be read again to say more: ${why}.`
}

/** What is wrong with the row, as its record says. */
async function faultsOf({ found, row }: Asking, { seq }: SqlRow): Promise<readonly BadRow[]> {
  const faults: BadRow[] = []
  await eachPart(found.reader, found.executor, 'quarantine', async rows => {
    const own = `SELECT * FROM ${rows} WHERE _seq = ${Number(seq)} AND _row = ${row} ORDER BY "column"`
    for (const fault of await found.executor.rows(own))
      faults.push({
        object: String(fault.object),
        row,
        column: fault.column === '' ? null : String(fault.column),
        expected: String(fault.expected),
        found: typeof fault.found === 'string' ? fault.found : null,
      })
  })
  return faults
}

/** The flows that begin with bad rows of the source. */
function takersOfBad({ flows }: Asking, source: string): readonly string[] {
  return flows
    .filter(({ rows }) => leavesOf(rows).some(leaf => leaf.is === 'quarantine' && leaf.source === source))
    .map(({ name }) => name)
}

async function walkFlows(asking: Asking, entry: SqlRow, marked: MarkedObject): Promise<RowStands> {
  const { found, row } = asking
  const { settings } = found.definitions.find(one => one.settings.name === marked.source) ?? unreachable(marked)
  const seq = Number(entry.seq)
  const before = asking.history.before.get(seq) as LedgerPosition
  const { source, part } = marked.good as NonNullable<MarkedObject['good']>
  const watermarkUs = before.sources[marked.source]?.watermarkUs ?? null
  const object = timedRows(source.scan([{ part, seq, watermarkUs }]), settings)
  const run = functionRun(found, String(entry.key), seq, before)
  const own = await inTable({ found, run }, { ...object, sql: `SELECT * FROM (${object.sql}) WHERE _row = ${row}` })
  if (!own) return { is: 'not-told', why: 'it is not among the rows of the object as it is read now.' }
  const walk = {
    ...asking,
    source: marked.source,
    key: String(entry.key),
    seq,
    epoch: Number(entry.epoch),
    before,
    met: new Map(),
  }
  const flows: FlowOfRow[] = []
  for (const flow of asking.flows) {
    const fates = await fatesIn({ ...walk, flow, rows: own.rows, object, run, meet: meetStage })
    if (fates.length > 0) flows.push({ flow: flow.name, fates })
  }
  return { is: 'good', values: await valuesOf(found, own.rows), flows }
}

function unreachable({ source }: MarkedObject): never {
  throw new Error(`unreachable: the pipeline has no source ${source}`)
}

/** Where functions run over the row, and lookups are met. */
function functionRun(found: BoundCheckpoint, key: string, seq: number, before: LedgerPosition): FunctionRun {
  const { executor, reader } = found
  return {
    executor,
    async table(sql) {
      const name = `why_${reader.newId().replaceAll('-', '')}`
      await executor.run(`CREATE TABLE ${name} AS ${sql}`)
      return name
    },
    keyOf: of => (of === seq ? key : undefined),
    lookup: ({ settings: { name } }) => lookupRows([before.lookups[name] as LedgerPosition['lookups'][string]]),
  }
}

async function fatesIn(walk: Omit<RowWalk, 'tell'>): Promise<readonly RowFate[]> {
  const { found, flow, epoch } = walk
  const fates: RowFate[] = []
  const given = await followBranch({ ...walk, tell: fate => fates.push(fate) }, flow.rows)
  const rows = given && (await inTable(walk, given))?.count
  if (rows)
    fates.push({ is: 'given', rows, epoch, reach: await reachOfEpoch(found.reader, found.executor, flow.name, epoch) })
  return fates
}

async function valuesOf(
  { executor }: BoundCheckpoint,
  { sql, columns }: Relation,
): Promise<Record<string, string | null>> {
  const names = Object.keys(columns).filter(name => name !== timeColumn)
  const items = names.map((name, index) => `CAST(${id(name)} AS VARCHAR) AS v${index}`)
  const [row] = await executor.rows(`SELECT ${items.join(', ')} FROM (${sql})`)
  return Object.fromEntries(names.map((name, index) => [name, (row?.[`v${index}`] ?? null) as string | null]))
}
