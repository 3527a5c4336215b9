import { randomUUID } from 'node:crypto'
import { isSameContent, readObject } from '../../checkpoints/objects.ts'
import { createOutbox } from '../../checkpoints/outbox.ts'
import { HEAD_KEY, OUTPUT_PREFIX, parseStagedPath, STAGED_PREFIX } from '../../checkpoints/paths.ts'
import { highest, planRepair, type RepairPlan, type Seen, verifyFile, writeRepaired } from '../../checkpoints/repair.ts'
import { MillraceError } from '../core/errors.ts'
import { objectAddress } from '../core/object-address.ts'
import type { ObjectStore } from '../core/ports.ts'
import { withAttempt } from './attempt.ts'
import { type Components, components as everyday } from './components.ts'
import { ownerName } from './owner.ts'
import { outputsBeyond, parseOutputKey } from './output-key.ts'
import { outputsOf } from './read-checkpoint.ts'

/** What a repair did. */
export interface Repaired {
  readonly checkpoint: string
  /** The object of the checkpoint that its manifest came from. */
  readonly from: string
  /** The epoch that it went back to. */
  readonly epoch: number
  readonly term: number
  /** First and last epoch that files tell of and that are lost; null where none is. */
  readonly lostEpochs: readonly [first: number, last: number] | null
  /** Files of the checkpoint that were read and hashed, and their bytes. */
  readonly files: number
  readonly bytes: number
  /** Published files of lost epochs, by their addresses before, which now lie under `_millrace/withdrawn/`. */
  readonly withdrawn: readonly string[]
  /** Newer manifests that could not be gone back to, and why. */
  readonly refused: readonly string[]
}

export interface RepairOptions {
  /** Moves published files of lost epochs out of the way. Without it a repair that meets such files is refused. */
  readonly withdraw?: boolean
}

const none: Seen = { term: 0, epoch: 0 }

/** Where withdrawn output lies, below its own folder. */
const WITHDRAWN_PREFIX = `${OUTPUT_PREFIX}withdrawn/`

/** A flow's output, and what of it was published after the epoch to go back to. */
interface Output {
  readonly store: ObjectStore
  readonly beyond: readonly { readonly key: string; readonly epoch: number }[]
  readonly seen: Seen
}

/**
 * Gives a checkpoint that has lost its HEAD the newest manifest that is there. What was published after that manifest would
 * be computed and published once more by the next start, so it is moved away, or the repair is refused. Every step may be
 * repeated: HEAD is written last.
 *
 * @throws MillraceError `user` where HEAD is there, where no manifest is, and where output lies beyond it.
 */
export async function repair(
  address: string,
  { withdraw = false }: RepairOptions = {},
  { openInput, openWritable, clock }: Components = everyday,
): Promise<Repaired> {
  const { sleep } = clock
  const store = await openInput(address, 'checkpoint')
  if (typeof (await store.get(HEAD_KEY)) !== 'string')
    throw new MillraceError(
      'user',
      'head-there',
      `${store.address} has its HEAD: nothing is lost, and nothing was done.`,
    )
  const plan = await planRepair(store, sleep)
  const { manifest } = plan

  const outputs: Output[] = []
  for (const [flow, at] of Object.entries(outputsOf(manifest)))
    outputs.push(await openOutput(await openInput(at, 'output'), flow, plan, sleep))
  const beyond = outputs.flatMap(output => output.beyond.map(({ key }) => objectAddress(output.store.address, key)))
  if (beyond.length > 0 && !withdraw) throw outputBeyond(store, plan, beyond)
  for (const output of outputs) await withdrawAll(output)

  const seen = outputs.map(output => output.seen).reduce(highest, plan.seen)
  const repaired = await writeRepaired(
    await openWritable(address, 'checkpoint'),
    withAttempt(manifest, null),
    seen,
    ownerName(clock),
    randomUUID,
    sleep,
  )
  return {
    checkpoint: store.address,
    from: plan.from,
    epoch: manifest.epoch,
    term: repaired.term,
    lostEpochs: seen.epoch > manifest.epoch ? [manifest.epoch + 1, seen.epoch] : null,
    files: plan.files,
    bytes: plan.bytes,
    withdrawn: beyond,
    refused: plan.refused,
  }
}

async function openOutput(
  store: ObjectStore,
  flow: string,
  { manifest }: RepairPlan,
  sleep: (ms: number) => Promise<void>,
): Promise<Output> {
  const { checkpointId, epoch, unpublished } = manifest
  // What belongs to another checkpoint is not touched.
  await createOutbox({ output: flow, store, checkpointId, pipeline: '', newId: randomUUID, sleep }).check(epoch === 0)
  for (const { output, file, to } of unpublished) {
    if (output !== flow || file.inline !== undefined) continue
    // Published before and collected since, or still to be published by the next start (P10).
    const published = await readObject(store, to, file.bytes, sleep)
    if (published === 'missing' || !isSameContent(published, file)) await verifyFile(store, file.name, file, sleep)
  }
  const beyond = await outputsBeyond(store, flow, epoch)
  const names: { readonly term?: number; readonly epoch: number }[] = [...beyond]
  for await (const { key } of store.list(STAGED_PREFIX)) names.push(...[parseStagedPath(key) ?? []].flat())
  // Of this repair, broken off before HEAD was there.
  for await (const { key } of store.list(WITHDRAWN_PREFIX))
    names.push(...[parseOutputKey(key.slice(WITHDRAWN_PREFIX.length)) ?? []].flat())
  return { store, beyond, seen: names.reduce<Seen>((a, { term = 0, ...b }) => highest(a, { term, ...b }), none) }
}

/** Readers do not look below `_millrace/`. Broken off, it goes on where it was: a file is deleted once its copy is there. */
async function withdrawAll({ store, beyond }: Output): Promise<void> {
  for (const { key } of beyond) {
    const put = await store.copy(key, `${WITHDRAWN_PREFIX}${key}`)
    if (put.is === 'unknown') throw put.cause
    await store.delete([key])
  }
}

function outputBeyond({ address }: ObjectStore, { manifest }: RepairPlan, beyond: readonly string[]): MillraceError {
  const shown = beyond.slice(0, 10).join(', ') + (beyond.length > 10 ? ` and ${beyond.length - 10} more` : '')
  return new MillraceError(
    'user',
    'output-beyond',
    `The newest manifest of ${address} is that of epoch ${manifest.epoch}, and ${beyond.length} files of output were published after it: ${shown}.` +
      ' The next start would compute their rows again, beside them. Repair with --withdraw: it moves them to _millrace/withdrawn/' +
      ' of their folder. Whoever has read them must take their rows back, as new files with new names follow.',
  )
}
