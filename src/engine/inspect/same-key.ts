import type { SqlRow } from '../../core/ports.ts'
import { showBytes, showCounted } from '../../core/quantity.ts'
import { orderOf, type Relation } from '../../plan/relation.ts'
import { id, text } from '../../plan/sql.ts'
import { type Branch, isFirst, leavesOf, type Stage } from '../../plan/stages.ts'
import { clocked } from '../fold/partials.ts'
import { timedRows } from '../read/good-rows.ts'
import { partialsSql, stateTable } from '../state/state.ts'
import { firstPlace } from './first-place.ts'
import { followBranch, inTable, type Met, type RowWalk } from './row-walk.ts'
import { historyOf } from './window-facts.ts'

/** Earlier objects that are read to find a row of the same key. */
const searchBytesMax = 256 * 1024 ** 2
const searchObjectsMax = 2_000

/**
 * Whether a step that gives rows at once keeps the row, and else which earlier row it drops it for. State tells neither
 * rows nor their order, so the objects before it are read again: once, however many flows go through the step.
 */
export async function meetKey(walk: RowWalk, stage: Stage, kept: Relation): Promise<Relation | undefined> {
  const met = walk.met.get(stage.id) ?? (await searched(walk, stage, kept))
  walk.met.set(stage.id, met)
  walk.tell(met.fate)
  return met.rows
}

async function searched(walk: RowWalk, stage: Stage, kept: Relation): Promise<Met> {
  const { op } = stage
  const [branch] = stage.inputs
  if (!branch || !isFirst(stage) || stage.inputs.some(hasLookup)) {
    const why = 'Whether it keeps it depends on rows that other steps or lookups have made, which are not kept.'
    return { fate: { is: 'not-told', op, why }, rows: undefined }
  }
  const earlier = await earlierObjects(walk, stage)
  const bytes = earlier.reduce((sum, row) => sum + Number(row.size_bytes), 0)
  if (bytes > searchBytesMax || earlier.length > searchObjectsMax) {
    const why =
      `Whether a row of its key came before it stands in ${showCounted(earlier.length, 'earlier object')} of ` +
      `${showBytes(bytes)}, which are not read to answer this.`
    return { fate: { is: 'not-told', op, why }, rows: undefined }
  }
  if (earlier.length > 0) walk.onRead({ objects: earlier.length, bytes })
  const { table, missing } = await rowsUpTo(walk, stage, branch, earlier, kept)
  return judge(walk, stage, kept, table, missing)
}

function hasLookup({ from, steps }: Branch): boolean {
  const own = steps.some(({ node }) => node.step.is === 'lookup')
  return own || (from.is === 'union' && from.branches.some(hasLookup))
}

/** Entries of the ledger before the row's own, of which a row may be within reach of it. */
async function earlierObjects({ found, seq, rows }: RowWalk, stage: Stage): Promise<readonly SqlRow[]> {
  const sources = new Set(stage.inputs.flatMap(leavesOf).flatMap(leaf => (leaf.is === 'source' ? [leaf.source] : [])))
  const names = [...sources].map(text).join(', ')
  const all = await found.executor.rows(
    `SELECT * FROM ledger WHERE "is" = 'object' AND outcome = 'read' AND rows > 0 AND seq < ${seq} ` +
      `AND source IN (${names}) ORDER BY seq`,
  )
  const [row] = await found.executor.rows(`SELECT _time FROM (${rows.sql}) LIMIT 1`)
  const timeUs = row?._time as bigint
  const hasPlainMarks = new Set(
    found.definitions.flatMap(({ settings: { name, bounds, mark } }) => (bounds || mark ? [] : [name])),
  )
  return all.filter(({ source, high_mark_us: highMarkUs }) => {
    // A row that is late under a watermark is out of reach of a row at that time: so is all of an object whose last
    // row is.
    const isBefore = typeof highMarkUs === 'bigint' && stage.step.late.mayBe(highMarkUs, timeUs - 1n)
    return !hasPlainMarks.has(String(source)) || !isBefore
  })
}

/** The rows that the step has taken up to this one, as a table; how many objects of them are not there any more. */
async function rowsUpTo(
  walk: RowWalk,
  stage: Stage,
  branch: Branch,
  earlier: readonly SqlRow[],
  kept: Relation,
): Promise<{ readonly table: string; readonly missing: number }> {
  const { found, run, seq } = walk
  const names = [...kept.hidden, ...Object.keys(kept.columns)].map(id).join(', ')
  const table = await run.table(`SELECT ${names} FROM (${kept.sql}) WHERE FALSE`)
  const numbers = earlier.map(entry => Number(entry.seq))
  const { before } = await historyOf(found, [], numbers)
  const add = async (of: Pick<RowWalk, 'source' | 'key' | 'seq' | 'before' | 'rows'>) => {
    const rows = await followBranch({ ...walk, ...of, tell: () => {} }, branch)
    if (!rows) return
    const entry = { seq: of.seq, beforeUs: of.before.clocks[stage.id] ?? null, afterUs: null }
    const own = clocked(rows, [entry])
    // Those of the row's own object up to the row, and the row.
    const until = of.seq === seq ? ` WHERE (_row) <= (SELECT max(_row) FROM (${kept.sql}))` : ''
    await found.executor.run(`INSERT INTO ${table} BY NAME SELECT ${names} FROM (${own.sql})${until}`)
  }
  let missing = 0
  for (const entry of earlier) {
    const number = Number(entry.seq)
    const marked = await walk.reader.read(entry)
    const definition = found.definitions.find(({ settings }) => settings.name === marked.source)
    const position = before.get(number)
    if (marked.good && definition && position) {
      const { source, part } = marked.good
      const watermarkUs = position.sources[marked.source]?.watermarkUs ?? null
      const scan = source.scan([{ part, seq: number, watermarkUs }])
      const rows = timedRows(scan, definition.settings)
      await add({ source: marked.source, key: String(entry.key), seq: number, before: position, rows })
    } else missing++
    await marked.release()
  }
  await add({ ...walk, rows: walk.object })
  return { table, missing }
}

async function judge(
  { found: { executor }, ...walk }: RowWalk,
  stage: Stage,
  kept: Relation,
  table: string,
  missing: number,
): Promise<Met> {
  const { op } = stage
  const place = orderOf(kept).map(id).join(', ')
  const isOwn = `(${place}) IN (SELECT (${place}) FROM (${kept.sql}))`
  const given = (rows: string): Relation => {
    const { sql, columns, hidden } = emitted(stage, { ...kept, sql: rows })
    return { sql: `SELECT * FROM (${sql}) WHERE ${isOwn}`, columns, hidden }
  }
  const work = { found: { executor }, run: walk.run }
  const of = (await inTable(work, kept))?.count ?? 0
  const passed = await inTable(work, given(`SELECT * FROM ${table}`))
  const left = of - (passed?.count ?? 0)
  const rows = passed?.rows
  if (left === 0 && missing === 0) return { fate: { is: 'kept', op }, rows }
  if (left === 0) {
    const why =
      `No row of its key is among those before it that are there still; ${showCounted(missing, 'object')} of them ` +
      `${missing === 1 ? 'is' : 'are'} not.`
    return { fate: { is: 'not-told', op, why }, rows: undefined }
  }
  if (of > 1) return { fate: { is: 'left-out', step: op, of, rows: left }, rows }
  const numbered = `SELECT *, row_number() OVER (ORDER BY ${place}) AS _n FROM ${table}`
  const drops = async (n: number) => {
    const { sql } = given(`SELECT * EXCLUDE (_n) FROM (${numbered}) WHERE _n <= ${n} OR ${isOwn}`)
    return (await executor.rows(`SELECT 1 FROM (${sql}) LIMIT 1`)).length === 0
  }
  const by = await firstPlace(executor, numbered, drops)
  const [row] = await executor.rows(`SELECT _seq, _row FROM (${numbered}) WHERE _n = ${by}`)
  const [entry] = await executor.rows(`SELECT key FROM ledger WHERE seq = ${Number(row?._seq)}`)
  return {
    fate: { is: 'same-key', op, by: { key: String(entry?.key), row: Number(row?._row), isLater: false } },
    rows,
  }
}

/** What the step gives of these rows, with nothing before them. */
function emitted(stage: Stage, rows: Relation) {
  return stage.step.emit({
    rows,
    committed: channel => `SELECT * FROM (${partialsSql(stateTable(stage, channel))}) WHERE FALSE`,
    own: channel => `SELECT * FROM (${partialsSql(stateTable(stage, channel))}) WHERE FALSE`,
    partials: () => [],
    fromUs: null,
    toUs: null,
  })
}
