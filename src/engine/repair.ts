import { randomUUID } from 'node:crypto'
import { headKey } from '../../checkpoints/paths.ts'
import { highest, planRepair, type RepairPlan, type Seen, writeRepaired } from '../../checkpoints/repair.ts'
import { MillraceError } from '../core/errors.ts'
import { objectAddress } from '../core/object-address.ts'
import { ownerName } from '../core/owner.ts'
import type { ObjectStore } from '../core/ports.ts'
import type { SinkPort, SinkTraces } from '../core/sink-port.ts'
import { type Components, components as everyday } from './components.ts'
import { withAttempt } from './intake/attempt.ts'
import { openStoredSink } from './publish/stored-sink.ts'
import { heldFlows, publishedThrough } from './state/held.ts'
import { outputsOf } from './state/read-checkpoint.ts'

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

/** A flow's sink, and what was published there after the epoch to go back to. */
interface Output {
  readonly sink: SinkPort
  readonly traces: SinkTraces
}

/**
 * Gives a checkpoint that has lost its HEAD the newest manifest that is there. What was published after that manifest
 * would be computed and published once more by the next start, so it is moved away, or the repair is refused. Every
 * step may be repeated: HEAD is written last.
 *
 * @throws MillraceError `user` where HEAD is there, where no manifest is, and where output lies beyond it.
 */
export async function repair(
  address: string,
  { withdraw = false }: RepairOptions = {},
  parts: Components = everyday,
): Promise<Repaired> {
  const { openInput, openWritable, clock } = parts
  const { sleep } = clock
  const store = await openInput(address, 'checkpoint')
  if (typeof (await store.get(headKey)) !== 'string')
    throw new MillraceError(
      'user',
      'head-there',
      `${store.address} has its HEAD: nothing is lost, and nothing was done.`,
    )
  const plan = await planRepair(store, sleep)
  const { manifest } = plan

  const outputs: Output[] = []
  for (const [flow, at] of Object.entries(outputsOf(manifest))) outputs.push(await openOutput(parts, flow, at, plan))
  const beyond = outputs.flatMap(({ sink, traces }) => traces.later.map(name => objectAddress(sink.address, name)))
  for (const { sink, traces } of outputs)
    if (traces.later.length > 0 && !sink.repair) throw tableBeyond(sink, traces.epoch, plan)
  if (beyond.length > 0 && !withdraw) throw outputBeyond(store, plan, beyond)
  for (const { sink, traces } of outputs) if (traces.later.length > 0) await sink.repair?.withdraw(traces.later)

  const seen = outputs.map(({ traces }) => traces).reduce<Seen>(highest, plan.seen)
  // What waits there is published without another epoch, under a name that none has had.
  const unused = { ...seen, epoch: Math.max(manifest.epoch, seen.epoch) + (heldFlows(manifest).length > 0 ? 1 : 0) }
  const repaired = await writeRepaired(
    await openWritable(address, 'checkpoint'),
    withAttempt(manifest, null),
    unused,
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

async function openOutput(parts: Components, flow: string, at: string, { manifest }: RepairPlan): Promise<Output> {
  const { unpublished } = manifest
  // Rows that wait there were published by a later manifest, or will be.
  const epoch = publishedThrough(manifest, flow)
  const sink = await openStoredSink(parts, manifest, flow, at)
  // What belongs to another checkpoint is not touched.
  await sink.check(manifest.epoch === 0)
  const waiting = unpublished.filter(({ output, at }) => output === flow && at === 'sink')
  for (const output of waiting) await sink.repair?.verify(output)
  if (sink.repair) return { sink, traces: await sink.repair.traces(epoch) }
  const through = (await sink.through(epoch)) ?? epoch
  return { sink, traces: { term: 0, epoch: through, later: through > epoch ? [`epoch ${through}`] : [] } }
}

/** What a table has taken stays there: its token would say that the epoch is there, whatever its rows are. */
function tableBeyond({ address }: SinkPort, through: number, { manifest }: RepairPlan): MillraceError {
  return new MillraceError(
    'user',
    'output-beyond',
    `${address} has the rows of epochs up to ${through}, and the newest manifest is that of epoch ${manifest.epoch}. ` +
      'Rows of a table are not taken back, with or without --withdraw, and nothing was done. Bring a newer manifest ' +
      'back, from a copy of the checkpoint or an older version of the bucket; or begin anew with another checkpoint ' +
      'and an empty table.',
  )
}

function outputBeyond({ address }: ObjectStore, { manifest }: RepairPlan, beyond: readonly string[]): MillraceError {
  const shown = beyond.slice(0, 10).join(', ') + (beyond.length > 10 ? ` and ${beyond.length - 10} more` : '')
  return new MillraceError(
    'user',
    'output-beyond',
    `The newest manifest of ${address} is that of epoch ${manifest.epoch}, and ${beyond.length} files of output ` +
      `were published after it: ${shown}.` +
      ' The next start would compute their rows again, beside them. Repair with --withdraw: it moves them to ' +
      '_millrace/withdrawn/' +
      ' of their folder. Whoever has read them must take their rows back, as new files with new names follow.',
  )
}
