import { MillraceError } from '../../core/errors.ts'
import { objectAddress } from '../../core/object-address.ts'
import { askedAs, type ObjectVersion } from '../../core/object-version.ts'
import type { Executor, GetOptions, ObjectStore } from '../../core/ports.ts'
import { text } from '../../plan/sql.ts'
import type { Components } from '../components.ts'
import type { ChannelReader } from '../state/channels.ts'
import { doneAfterChannel, loadDoneAfter, movedTo } from '../state/done-after.ts'
import { createLedgerTable } from '../state/ledger.ts'
import { loadLedger } from '../state/recover.ts'

/** Finds objects of a ledger where `after` has brought them. */
export interface Moved {
  /** The place and the version there; undefined where the object was neither moved nor deleted. */
  find(source: string, key: string, eTag: string): Promise<MovedObject | 'deleted' | undefined>
}

export interface MovedObject {
  readonly store: ObjectStore
  readonly version: ObjectVersion
}

const table = 'moved'

/** Reads from a checkpoint what was done with the objects of its ledger. */
export async function openMoved(
  reader: ChannelReader,
  executor: Executor,
  components: Pick<Components, 'openInput'>,
): Promise<Moved> {
  if ((reader.manifest.channels[doneAfterChannel] ?? []).length === 0) return { find: async () => undefined }
  await createLedgerTable(executor, 'moved_ledger')
  await loadLedger(reader, executor, 'moved_ledger')
  await loadDoneAfter(reader, executor, 'moved_done')
  await executor.run(
    `CREATE TABLE ${table} AS SELECT l.source, l.key AS old_key, l.e_tag AS old_e_tag, d.* FROM moved_done AS d ` +
      `JOIN moved_ledger AS l USING (seq) WHERE d."is" IN ('moved', 'deleted')`,
  )
  for (const loaded of ['moved_ledger', 'moved_done']) await executor.run(`DROP TABLE ${loaded}`)
  const stores = new Map<string, Promise<ObjectStore>>()
  function open(place: string): Promise<ObjectStore> {
    const opened = stores.get(place) ?? components.openInput(place, 'after.moveTo', 'all')
    stores.set(place, opened)
    return opened
  }
  return {
    async find(source, key, eTag) {
      const [row] = await executor.rows(
        `SELECT * FROM ${table} WHERE source = ${text(source)} AND old_key = ${text(key)} ` +
          `AND old_e_tag = ${text(eTag)} ORDER BY "is" DESC LIMIT 1`,
      )
      if (!row || row.is === 'deleted') return row && 'deleted'
      const { place, version } = movedTo(row)
      return { store: await open(place), version }
    },
  }
}

function deleted(object: string): MillraceError {
  return new MillraceError(
    'fatal',
    'replay-deleted',
    `object ${object} was deleted after its rows were committed, as its source said after: 'delete'. Without it ` +
      'the ledger cannot be replayed. Bring it back from a backup, or from an older version of the bucket, with ' +
      'its time of modification.',
  )
}

/** A store for a replay: what is no more in its old place is read at its new one, as if it lay there still. */
export function followMoves(store: ObjectStore, source: string, moved: Moved): ObjectStore {
  return {
    ...store,
    async get(key: string, options: GetOptions = {}) {
      const found = await store.get(key, options)
      const { ifMatch: eTag, versionId: _, ...rest } = options
      if (typeof found !== 'string' || eTag === undefined) return found
      const there = await moved.find(source, key, eTag)
      if (there === 'deleted') throw deleted(objectAddress(store.address, key))
      if (!there) return found
      const { version } = there
      const got = await there.store.get(version.key, { ...rest, ...askedAs(version) })
      return typeof got === 'string' ? got : { ...got, eTag }
    },
    ...(store.link && {
      async link(version, file) {
        const linked = (await store.link?.(version, file)) ?? 'unsupported'
        if (linked !== 'missing' && linked !== 'changed') return linked
        const there = await moved.find(source, version.key, version.eTag)
        if (there === 'deleted') throw deleted(objectAddress(store.address, version.key))
        return there ? ((await there.store.link?.(there.version, file)) ?? 'unsupported') : linked
      },
    }),
  }
}
