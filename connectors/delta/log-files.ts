import type { ObjectStore } from '../../src/core/ports.ts'
import { logFolder } from './log-checkpoint.ts'

/** A checkpoint of the log. */
export interface CheckpointFiles {
  readonly version: number
  readonly keys: readonly string[]
}

export interface LogFiles {
  /** The newest that is whole. */
  readonly checkpoint: CheckpointFiles | undefined
  /** Numbers of the entries, ascending. */
  readonly entries: readonly number[]
}

const entryName = /^_delta_log\/(\d{20})\.json$/
const checkpointName = /^_delta_log\/(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10}))?\.parquet$/

/** @param since only what belongs to this version or a later one */
export async function logFiles(store: ObjectStore, since: number | undefined): Promise<LogFiles> {
  const after = since === undefined ? undefined : `${logFolder}${String(since).padStart(20, '0')}`
  const entries: number[] = []
  const parts = new Map<string, { readonly version: number; readonly of: number; readonly keys: string[] }>()
  for await (const { key } of store.list(logFolder, after)) {
    const entry = entryName.exec(key)
    if (entry) entries.push(Number(entry[1]))
    const part = checkpointName.exec(key)
    if (!part) continue
    // Parts of one number belong together where they are as many.
    const of = Number(part[3] ?? 1)
    const id = `${part[1]} ${of}`
    const found = parts.get(id) ?? { version: Number(part[1]), of, keys: [] }
    found.keys.push(key)
    parts.set(id, found)
  }
  const whole = [...parts.values()].filter(({ of, keys }) => keys.length === of)
  return { checkpoint: whole.toSorted((a, b) => a.version - b.version).at(-1), entries }
}

/** Deletes what of the log is older and lies before a checkpoint that is older, too: later versions need none of it. */
export async function cleanLog(store: ObjectStore, untilMs: number): Promise<void> {
  const old: { readonly key: string; readonly version: number }[] = []
  for await (const { key, lastModifiedMs } of store.list(logFolder)) {
    const version = /^_delta_log\/(\d{20})\./.exec(key)?.[1]
    if (version === undefined) continue
    if (lastModifiedMs > untilMs) break
    old.push({ key, version: Number(version) })
  }
  const checkpoint = old.findLast(({ key }) => checkpointName.test(key))
  if (checkpoint) await store.delete(old.filter(({ version }) => version < checkpoint.version).map(({ key }) => key))
}
