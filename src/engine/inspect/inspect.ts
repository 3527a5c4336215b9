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
import type { Inspection } from '../report/summary.ts'
import { type ChannelReader, eachPart } from '../state/channels.ts'
import { engineRecords, settingsOf, watermarksOf, retryOf } from '../state/engine-state.ts'
import { heldIn } from '../state/held.ts'
import { createLedgerTable } from '../state/ledger.ts'
import { outputsOf, readCheckpoint, waitingFor } from '../state/read-checkpoint.ts'
import { loadLedger } from '../state/recover.ts'
import { requestedSql } from '../state/retry-request.ts'
import { totalsOf } from '../state/totals.ts'
import { setAsideNow } from './set-aside-now.ts'
import { storedStates } from './stored-states.ts'

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
      states: (await storedStates(reader, executor)).map(({ name, rows, bytes, openWindows }) => ({
        name,
        rows,
        bytes,
        ...(openWindows === undefined ? {} : { openWindows }),
      })),
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

/** Of what `retry` asked for, what no run has read yet. */
async function retriedObjects(reader: ChannelReader, executor: Executor): Promise<number> {
  const request = retryOf(reader.manifest)
  if (!request) return 0
  await createLedgerTable(executor, 'ledger')
  await loadLedger(reader, executor, 'ledger')
  const [found] = await executor.rows(`SELECT count(*) AS n FROM (${requestedSql(request)})`)
  return Number(found?.n)
}
