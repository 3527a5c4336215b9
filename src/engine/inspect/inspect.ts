import { randomUUID } from 'node:crypto'
import type { Manifest } from '../../../checkpoints/types.ts'
import { objectAddress } from '../../core/object-address.ts'
import type { Executor, SqlRow } from '../../core/ports.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { storedPlan, writtenOptions } from '../../plan/stored-plan.ts'
import { components } from '../components.ts'
import { openSession } from '../duckdb/session.ts'
import { waitingIn } from '../publish/lane.ts'
import { iso } from '../report/iso.ts'
import type { InspectedState, Inspection, SetAside } from '../report/summary.ts'
import { type ChannelReader, eachPart, loadTable } from '../state/channels.ts'
import { engineRecords, settingsOf, watermarksOf, watermarkOfState, retryOf } from '../state/engine-state.ts'
import { heldIn } from '../state/held.ts'
import { createLedgerTable, ledgerRowsSql, sameVersionSql } from '../state/ledger.ts'
import { outputsOf, readCheckpoint, waitingFor } from '../state/read-checkpoint.ts'
import { loadLedger } from '../state/recover.ts'
import { requestedSql } from '../state/retry-request.ts'
import { totalsOf } from '../state/totals.ts'

/**
 * Reads a checkpoint without claiming it: safe beside a running owner. @throws MillraceError `user` when there is none.
 */
export async function inspect(address: string): Promise<Inspection> {
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const { checkpoint, head, address: shown } = await readCheckpoint(components, address, 'checkpoint', session.stage)
    const { manifest } = head
    const reader = { checkpoint, manifest, stage: session.stage, newId: randomUUID }
    const rowsOf = async (channel: string, query: (rows: string) => string) => {
      const found: SqlRow[] = []
      await eachPart(reader, executor, channel, async rows => {
        found.push(...(await executor.rows(query(rows))))
      })
      return found
    }
    const setAside = await setAsideNow(reader, executor)
    const outputs = await rowsOf('outputs', files => `SELECT output, key FROM ${files} ORDER BY epoch, output`)
    const addresses = outputsOf(manifest)
    return {
      checkpoint: shown,
      checkpointId: manifest.checkpointId,
      pipeline: storedPlan(manifest.engine.plan).pipeline,
      term: head.term,
      epoch: manifest.epoch,
      owner: head.owner,
      released: head.released,
      duckdb: settingsOf(manifest).duckdb,
      totals: totalsOf(manifest),
      watermarks: shownWatermarks(manifest),
      states: await inspectedStates(reader, executor),
      channels: Object.entries(manifest.channels).map(([name, parts]) => ({
        name,
        files: parts.length,
        rows: parts.reduce((total, part) => total + part.rows, 0),
        bytes: parts.reduce((total, part) => total + part.bytes, 0),
      })),
      unpublished: waitingFor(manifest, 'sink').length,
      held: heldIn(manifest).map(({ sinceMs, ...rows }) => ({
        ...rows,
        since: sinceMs === null ? null : new Date(sinceMs).toISOString(),
      })),
      undelivered: waitingIn(waitingFor(manifest, 'rows')),
      retried: await retriedObjects(reader, executor),
      applyLate: engineRecords(manifest).applyLate.length,
      outputFiles: outputs.map(row =>
        objectAddress(addresses[String(row.output)] ?? String(row.output), String(row.key)),
      ),
      setAside,
    }
  } finally {
    await session.close()
  }
}

/** A source without event time has none, and never will. */
function shownWatermarks(manifest: Manifest): Inspection['watermarks'] {
  const sources = storedPlan(manifest.engine.plan).nodes.flatMap(node =>
    node.op === 'source' ? [writtenOptions(node) as unknown as SourceSettings] : [],
  )
  const timeless = new Set(sources.flatMap(({ name, time }) => (time === undefined ? [name] : [])))
  const marks = Object.entries(watermarksOf(manifest)).filter(([source]) => !timeless.has(source))
  return Object.fromEntries(
    marks.map(([source, { watermarkUs }]) => [source, watermarkUs === null ? null : iso(BigInt(watermarkUs))]),
  )
}

async function inspectedStates(reader: ChannelReader, executor: Executor): Promise<readonly InspectedState[]> {
  const { manifest } = reader
  const { closesAt = {}, living = {}, openWindows = {} } = settingsOf(manifest)
  const count = async (sql: string) => Number((await executor.rows(`SELECT count(*) AS n FROM (${sql})`))[0]?.n)
  const states: InspectedState[] = []
  for (const name of [...Object.keys(closesAt), ...Object.keys(living)]) {
    const channel = `segment-${name}`
    const hasRows = await loadTable(reader, executor, channel, 'partials')
    const watermark = watermarkOfState(manifest, name)
    const alive = watermark === null ? '' : ` WHERE ${closesAt[name]} > ${watermark}`
    const open = openWindows[name]
    states.push({
      name,
      rows: hasRows ? await count(living[name] ?? `SELECT 1 FROM partials${alive}`) : 0,
      bytes: (manifest.channels[channel] ?? []).reduce((total, { bytes }) => total + bytes, 0),
      ...(open === undefined ? {} : { openWindows: hasRows ? await count(open) : 0 }),
    })
    if (hasRows) await executor.run('DROP TABLE partials')
  }
  return states
}

/**
 * Object versions that are set aside as the ledger stands, in its order. A version that was read comes after all of its
 * other entries, so none of what was read is held here.
 */
async function setAsideNow(reader: ChannelReader, executor: Executor): Promise<readonly SetAside[]> {
  await createLedgerTable(executor, 'aside')
  await eachPart(reader, executor, 'ledger', async file => {
    const rows = `(${ledgerRowsSql(file)})`
    await executor.run(`INSERT INTO aside BY NAME SELECT * FROM ${rows} WHERE outcome <> 'read'`)
    await executor.run(
      `DELETE FROM aside USING ${rows} AS r WHERE r.outcome = 'read' AND ${sameVersionSql('aside', 'r')}`,
    )
  })
  const found = await executor.rows(
    'SELECT key, reason FROM aside WHERE seq IN ' +
      '(SELECT max(seq) FROM aside GROUP BY source, bucket, key, version_id, e_tag) ORDER BY seq',
  )
  return found.map(row => ({ key: String(row.key), reason: String(row.reason) }))
}

/** Of what `retry` asked for, what no run has read yet. */
async function retriedObjects(reader: ChannelReader, executor: Executor): Promise<number> {
  const request = retryOf(reader.manifest)
  if (!request) return 0
  await createLedgerTable(executor, 'ledger')
  await loadLedger(reader, executor, 'ledger')
  const [found] = await executor.rows(`SELECT count(*) AS n FROM (${requestedSql(request)})`)
  return Number(found?.n)
}
