import type { Flows } from '../bind/flows.ts'
import type { Components } from '../components.ts'
import { askedAs, type ObjectVersion } from '../../core/object-version.ts'
import type { Executor } from '../../core/ports.ts'
import type { KeySettings } from '../../plan/key-settings.ts'
import { text } from '../../plan/sql.ts'
import { linksOf } from '../intake/key-kind.ts'
import type { Places } from '../publish/outputs.ts'
import { inputsGiven } from '../publish/run-places.ts'
import { type ChannelReader, eachPart } from '../state/channels.ts'
import { versionOf } from '../state/ledger.ts'
import { type Moved, openMoved } from './moved.ts'

export interface ChangedObject {
  readonly key: string
  readonly expected: { readonly modified: string; readonly sizeBytes: number }
  readonly found: { readonly modified: string; readonly sizeBytes: number }
}

/** Objects that were read when the ledger was written, and cannot be read again. */
export interface Missing {
  /** They are not there any more. */
  readonly gone: readonly string[]
  /** Of these, those that `after: 'delete'` has deleted. */
  readonly deleted: readonly string[]
  /** Another version lies there now. */
  readonly changed: readonly ChangedObject[]
}

/** Objects that the ledger says were read and that are not at the input as they were. */
export async function missingObjects(
  reader: ChannelReader,
  executor: Executor,
  parts: Components,
  { definitions, lookups }: Pick<Flows, 'definitions' | 'lookups'>,
  given: Places | undefined,
): Promise<Missing> {
  const inputs = inputsGiven(given, { definitions, lookups })
  const found: Missing[] = []
  let moved: Moved | undefined
  const openedMoved = async () => (moved ??= await openMoved(reader, executor, parts))
  for (const { settings, objects, keys } of definitions) {
    const place = { source: settings.name, address: inputs[settings.name] ?? objects, keys }
    found.push(await missingOf(place, reader, executor, parts, openedMoved))
  }
  return {
    gone: found.flatMap(({ gone }) => gone),
    deleted: found.flatMap(({ deleted }) => deleted),
    changed: found.flatMap(({ changed }) => changed),
  }
}

/** The same of one source. */
async function missingOf(
  { source, address, keys }: { readonly source: string; readonly address: string; readonly keys: KeySettings },
  reader: ChannelReader,
  executor: Executor,
  parts: Components,
  openedMoved: () => Promise<Moved>,
): Promise<Missing> {
  const input = await parts.findInput(address, 'input')
  const store = await parts.openInput(input.root, 'input', linksOf(input, keys))
  const wanted = new Map<string, ObjectVersion>()
  const known = new Set<string>()
  await eachPart(reader, executor, 'ledger', async rows => {
    for (const row of await executor.rows(
      `SELECT * FROM ${rows} WHERE outcome = 'read' AND source = ${text(source)}`,
    )) {
      wanted.set(`${String(row.key)}\n${String(row.e_tag)}`, versionOf(row))
      known.add(String(row.key))
    }
  })
  const there = new Map<string, ObjectVersion>()
  for await (const version of store.list('')) {
    const { key, eTag } = version
    if (!wanted.delete(`${key}\n${eTag}`) && known.has(key)) there.set(key, version)
  }
  const { missing, deleted } = await notMoved(source, [...wanted.values()], openedMoved)
  return {
    deleted,
    gone: missing.flatMap(({ key }) => (there.has(key) ? [] : [key])),
    changed: missing.flatMap(expected => {
      const found = there.get(expected.key)
      return found ? [{ key: expected.key, expected: seen(expected), found: seen(found) }] : []
    }),
  }
}

/** Those of them that `after` has not moved to where they still are as they were; and those that it has deleted. */
async function notMoved(
  source: string,
  missing: readonly ObjectVersion[],
  openedMoved: () => Promise<Moved>,
): Promise<{ readonly missing: readonly ObjectVersion[]; readonly deleted: readonly string[] }> {
  if (missing.length === 0) return { missing, deleted: [] }
  const moved = await openedMoved()
  const left: ObjectVersion[] = []
  const deleted: string[] = []
  for (const version of missing) {
    const there = await moved.find(source, version.key, version.eTag)
    if (there === 'deleted') deleted.push(version.key)
    if (there === undefined || there === 'deleted') left.push(version)
    else {
      const found = await there.store.get(there.version.key, { ...askedAs(there.version), range: [0, 1] })
      if (typeof found === 'string') left.push(version)
    }
  }
  return { missing: left, deleted }
}

/** When it was modified, ISO 8601: of a file to the nanosecond, which `touch -d` restores and its eTag ends in. */
function seen({ bucket, eTag, lastModifiedMs, sizeBytes }: ObjectVersion): ChangedObject['found'] {
  const iso = new Date(Math.floor(lastModifiedMs)).toISOString()
  const nanos = bucket === '' ? /(\d{9})$/.exec(eTag)?.[1] : undefined
  return { modified: nanos === undefined ? iso : `${iso.slice(0, 19)}.${nanos}Z`, sizeBytes }
}
