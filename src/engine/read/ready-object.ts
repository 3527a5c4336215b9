import { rm } from 'node:fs/promises'
import type { Wanted } from '../../core/object-version.ts'
import type { DeclaredColumn } from '../../plan/declared-column.ts'
import type { Ready, SpooledObject } from '../../plan/format.ts'
import type { CheckedFacts } from './checked-facts.ts'
import { badObject, type FetchContext, goneBecause, goneObject, type MarkedObject, recorded } from './marked-object.ts'
import { isOneGet, type Spooled, spoolObject } from './spool.ts'
import type { SpoolFiles } from './spool-files.ts'
import type { SpooledVersion } from './spooled-version.ts'
import { unreadableObject } from './unreadable-object.ts'

export interface ReadyContext extends FetchContext {
  /** The objects' names of the declared columns. */
  readonly names: readonly string[]
  /** The declared columns that lie in rows. */
  readonly rowColumns: readonly DeclaredColumn[]
  readonly facts: Pick<CheckedFacts, 'problemOf'>
  readonly files: SpoolFiles
}

/** An object as it can be read, what is wrong with it, or the size that it has in truth. */
export type ReadyObject = SpooledVersion | MarkedObject | (Spooled & { readonly is: 'other-size' })

/** A file of the spool. */
interface Spot {
  readonly file: string
  readonly isSpare: boolean
  /** It may be a spare afterwards. */
  readonly isSmall: boolean
  /** For what the file cannot be read as it is. */
  readonly changed: string
}

/** Brings an object to the spool and readies it for DuckDB. Of one that cannot be read nothing stays. */
export async function readyObject(context: ReadyContext, wanted: Wanted): Promise<ReadyObject> {
  const { format, store, files } = context
  const isSmall = format.isShared && !store.link && isOneGet(wanted)
  const taken = files.take(isSmall)
  const spot: Spot = { ...taken, isSmall, changed: `${taken.file}.rows` }
  const remove = () => Promise.all([spot.file, spot.changed].map(path => rm(path, { force: true })))
  try {
    const found = await readyAt(context, wanted, spot)
    if (!('discard' in found)) await remove()
    return found
  } catch (error) {
    await remove()
    return unreadableObject(context, wanted, error)
  }
}

async function readyAt(context: ReadyContext, wanted: Wanted, spot: Spot): Promise<ReadyObject> {
  const { format, facts, names, signal } = context
  const { file, changed } = spot
  const fetched = await spoolObject({ ...context, columns: names }, wanted, file, spot.isSpare)
  if (fetched.is === 'other-size') return fetched
  if (fetched.is === 'missing' || fetched.is === 'changed')
    return goneObject(context, recorded(wanted), goneBecause[fetched.is])
  const { version } = fetched
  const problem = await facts.problemOf(version)
  if (problem !== undefined) return badObject(context, version, problem)
  const object = { file, changed, key: version.key, columns: names, declared: context.rowColumns, signal }
  const ready = await format.ready(object)
  if (ready.is === 'bad') return badObject(context, version, ready.reason)
  const found: SpooledVersion = {
    version,
    file: ready.file,
    async discard() {
      if (ready.file !== file) await rm(changed, { force: true })
      await context.files.give(file, spot.isSmall)
    },
    ...(ready.columns ? { columns: ready.columns } : {}),
    ...(ready.provenFields ? { provenFields: ready.provenFields } : {}),
    ...(fetched.is === 'linked' ? { isChanged: fetched.isChanged } : {}),
  }
  return ready.isQuick ? { ...found, again: () => readyAgain(context, found, object) } : found
}

/** The same object, readied once more beside its first reading, which goes when this one does. */
async function readyAgain(
  context: ReadyContext,
  found: SpooledVersion,
  object: SpooledObject,
): Promise<SpooledVersion | MarkedObject> {
  const { version, isChanged } = found
  const changed = `${object.file}.again`
  const discard = async () => {
    await rm(changed, { force: true })
    await found.discard()
  }
  try {
    const ready = (await context.format.again?.({ ...object, changed })) as Ready
    if (ready.is === 'ready') return { version, file: ready.file, discard, ...(isChanged ? { isChanged } : {}) }
    await discard()
    return badObject(context, version, ready.reason)
  } catch (error) {
    await discard()
    return unreadableObject(context, version, error)
  }
}
