import type { Manifest } from '../../../checkpoints/types.ts'
import type { Executor } from '../../core/ports.ts'
import { id, text } from '../../plan/sql.ts'
import { stepsOf, storedPlan } from '../../plan/stored-plan.ts'
import { type ChannelReader, loadTable } from '../state/channels.ts'
import { doneAfterChannel, doneAfterColumns } from '../state/done-after.ts'
import { settingsOf, watermarkOfState } from '../state/engine-state.ts'
import { createLedgerTable, ledgerColumns } from '../state/ledger.ts'
import { lookupChannel } from '../state/lookup-versions.ts'
import { loadLedger } from '../state/recover.ts'
import { outputsSql } from './table-views.ts'
import { type Columns, labelled, unionSql, type View } from './view.ts'

/**
 * Brings a checkpoint's records into the current database: as they are stored in the schema `stored`, which is there
 * with the versions of tables, and as
 * docs/reference/sql-views.md has them in views. The views' names.
 */
export async function createRecordViews(reader: ChannelReader, executor: Executor): Promise<readonly string[]> {
  await createLedgerTable(executor, 'stored.ledger')
  await loadLedger(reader, executor, 'stored.ledger')
  for (const channel of Object.keys(reader.manifest.channels))
    if (channel !== 'ledger') await loadTable(reader, executor, channel, stored(channel))
  for (const [channel, columns] of Object.entries(alwaysThere))
    await executor.run(`CREATE TABLE IF NOT EXISTS ${stored(channel)} (${columns})`)

  const late = await lateViews(reader.manifest, executor)
  const state = await stateViews(reader.manifest, executor)
  const views = {
    ledger: ledgerSql,
    epochs: epochsSql,
    quarantine: `SELECT _seq, _row, object AS "key", * EXCLUDE (_seq, _row) FROM stored.quarantine`,
    outputs: outputsSql,
    afterwards: afterwardsSql,
    ...lookupViews(reader.manifest),
    ...Object.fromEntries([...late, ...state].map(({ name, sql }) => [name, sql])),
    late: unionSql(lateColumns, late),
    state: unionSql(
      stateColumns,
      state.filter(({ isMain }) => isMain),
    ),
  }
  for (const [name, sql] of Object.entries(views)) await executor.run(`CREATE VIEW ${id(name)} AS ${sql}`)
  return Object.keys(views)
}

function stored(channel: string): string {
  return `stored.${id(channel)}`
}

/** What has no row yet can be asked for all the same. */
const alwaysThere: Readonly<Record<string, string>> = {
  quarantine:
    '_seq BIGINT, _row BIGINT, object VARCHAR, e_tag VARCHAR, "column" VARCHAR, expected VARCHAR, found VARCHAR',
  [doneAfterChannel]: Object.entries(doneAfterColumns)
    .map(([name, type]) => `${id(name)} ${type}`)
    .join(', '),
  outputs: 'epoch BIGINT, output VARCHAR, key VARCHAR, rows BIGINT, bytes BIGINT, sha256 VARCHAR',
}

const lateColumns: Columns = {
  flow: 'VARCHAR',
  step: 'VARCHAR',
  key: 'VARCHAR',
  _seq: 'BIGINT',
  _row: 'BIGINT',
  _watermark: 'TIMESTAMP',
  _window_start: 'TIMESTAMP',
  _window_end: 'TIMESTAMP',
  _reason: 'VARCHAR',
  _object: 'VARCHAR',
}

const stateColumns: Columns = { flow: 'VARCHAR', step: 'VARCHAR', _start: 'TIMESTAMP' }

/** Microseconds and milliseconds as the times that they are. As numbers they come last, by their older names. */
const ledgerSql = `SELECT ${Object.keys(ledgerColumns)
  .map(name => {
    if (name.endsWith('_us')) return `make_timestamp(${id(name)}) AS ${id(name.slice(0, -3))}`
    return name.endsWith('_ms') ? `make_timestamp(${id(name)} * 1000) AS ${id(name.slice(0, -3))}` : id(name)
  })
  .concat(Object.keys(ledgerColumns).filter(name => /_[um]s$/.test(name)))
  .join(', ')} FROM stored.ledger`

/** The object by its key in the source's place, and by the one that it has now. */
const afterwardsSql =
  'SELECT a.seq, l.bucket, l.key, a."is", a.place, a.key AS new_key, a.e_tag AS new_e_tag, a.version_id AS ' +
  'new_version_id, a.note ' +
  `FROM ${stored(doneAfterChannel)} AS a JOIN stored.ledger AS l USING (seq)`

const epochsSql =
  `SELECT epoch, count(*) FILTER ("is" = 'object') AS objects, sum(rows) AS rows, sum(late) AS late, ` +
  `count(*) FILTER (outcome = 'quarantined') AS quarantined, count(*) FILTER (outcome = 'gone') AS gone, ` +
  `count(*) FILTER (outcome = 'suspect') AS suspect, min(seq) AS first_seq, max(seq) AS last_seq, bool_or("is" = ` +
  `'flush') AS flushed ` +
  `FROM stored.ledger GROUP BY epoch ORDER BY epoch`

/** `late_<step>` of each step that has late rows, `late_<step>_left` and the like of a step with several inputs. */
async function lateViews(manifest: Manifest, executor: Executor): Promise<readonly View[]> {
  const flows = flowsByStep(manifest)
  return Promise.all(
    channelsOf(manifest, 'late').map(async ({ channel, key }) => {
      const [step = key] = key.split('-')
      const own = { flow: text(flows.get(step) ?? ''), step: text(step), key: '_object' }
      const name = `late_${key.replaceAll('-', '_')}`
      return labelled(name, own, await executor.describe(`FROM ${stored(channel)}`), stored(channel))
    }),
  )
}

/** `lookup_<name>` of each lookup: the rows of every version, with the number of the entry that they came with. */
function lookupViews({ channels }: Manifest): Readonly<Record<string, string>> {
  const prefix = lookupChannel('')
  const names = Object.keys(channels).filter(channel => channel.startsWith(prefix))
  return Object.fromEntries(
    names.map(channel => [
      `lookup_${channel.slice(prefix.length).replaceAll('-', '_')}`,
      `SELECT * FROM ${stored(channel)}`,
    ]),
  )
}

/** `state_<step>` of each step that has partial rows, and `state_<step>_<n>` of its tables of a finer grain. */
async function stateViews(
  manifest: Manifest,
  executor: Executor,
): Promise<readonly (View & { readonly isMain: boolean })[]> {
  const flows = flowsByStep(manifest)
  const { closesAt = {} } = settingsOf(manifest)
  return Promise.all(
    channelsOf(manifest, 'segment').map(async ({ channel, key }) => {
      const [step = key] = key.split('-')
      const name = `state_${key.replaceAll('-', '_')}`
      const own = { flow: text(flows.get(step) ?? ''), step: text(step) }
      const view = labelled(name, own, await executor.describe(`FROM ${stored(channel)}`), stored(channel))
      // A segment keeps rows of closed windows until all of it is dead.
      const watermark = watermarkOfState(manifest, key)
      const alive = closesAt[key] && watermark !== null ? ` WHERE ${closesAt[key]} > ${watermark}` : ''
      return { ...view, sql: view.sql + alive, isMain: key === step }
    }),
  )
}

function channelsOf(
  { channels }: Manifest,
  kind: 'late' | 'segment',
): readonly { readonly channel: string; readonly key: string }[] {
  return Object.entries(channels)
    .filter(([channel, parts]) => channel.startsWith(`${kind}-`) && parts.length > 0)
    .map(([channel]) => ({ channel, key: channel.slice(kind.length + 1) }))
}

/** The flows that have a step, by its id: 'flow-1', or 'flow-1, flow-3' where they share it. */
function flowsByStep(manifest: Manifest): ReadonlyMap<string, string> {
  const plan = storedPlan(manifest.engine.plan)
  const byStep = new Map<string, string>()
  for (const flow of Object.keys(plan.flows))
    for (const { id: step } of stepsOf(plan, flow)) {
      const others = byStep.get(step)
      byStep.set(step, `${others === undefined ? '' : `${others}, `}${flow}`)
    }
  return byStep
}
