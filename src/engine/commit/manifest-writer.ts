import type { CommitOutcome } from '../../../checkpoints/checkpoint-store.ts'
import type { Manifest } from '../../../checkpoints/types.ts'
import { limited } from '../../core/limited.ts'
import { fencedBy } from '../state/fenced.ts'
import type { Claim } from './claim.ts'

/** What HEAD holds, and every write of it after the claim. */
export interface ManifestWriter {
  /** The committed one. */
  readonly manifest: Manifest
  /** Work that makes one manifest from another runs one after the other: none is to lose what another wrote. */
  inTurn<T>(work: () => Promise<T>): Promise<T>
  /** The commit point. Called in turn. @throws MillraceError `fenced` when another process owns the checkpoint */
  write(next: Manifest): Promise<void>
  /** Commits the manifest as this changes it, where it does, in turn. */
  amend(change: (before: Manifest) => Manifest | Promise<Manifest>): Promise<Manifest>
  /** Deletes garbage, by the names of the places where it lies. Called in turn, or at the end. */
  collect(places: Parameters<Claim['checkpoint']['collect']>[1]): Promise<void>
  /** The last write: the next start need not wait. */
  release(last: Manifest): Promise<void>
}

export function createManifestWriter({
  checkpoint,
  heartbeat,
  head,
}: Pick<Claim, 'checkpoint' | 'heartbeat' | 'head'>): ManifestWriter {
  let { manifest } = head
  const one = limited(1)
  const inTurn: ManifestWriter['inTurn'] = work => one(1, work)

  async function write(next: Manifest): Promise<void> {
    manifest = committed(await checkpoint.commit(next))
    heartbeat.wrote()
  }

  return {
    get manifest() {
      return manifest
    },
    inTurn,
    write,
    amend: change =>
      inTurn(async () => {
        const next = await change(manifest)
        if (next !== manifest) await write(next)
        return manifest
      }),
    async collect(places) {
      manifest = await checkpoint.collect(manifest, places)
    },
    async release(last) {
      manifest = committed(await checkpoint.release(last))
    },
  }
}

function committed(outcome: CommitOutcome): Manifest {
  if (outcome.is === 'committed') return outcome.head.manifest
  throw fencedBy(outcome)
}
