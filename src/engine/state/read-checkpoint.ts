import { randomUUID } from 'node:crypto'
import { type CheckpointStore, createCheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import type { Head, Manifest, Unpublished } from '../../../checkpoints/types.ts'
import { configError } from '../../core/errors.ts'
import type { ObjectStore } from '../../core/ports.ts'
import { type ColumnTypes, plainTypes } from '../../plan/relation.ts'
import { storedPlan } from '../../plan/stored-plan.ts'
import { changeColumns } from '../../plan/updates.ts'
import type { Components } from '../components.ts'
import { settingsOf } from './engine-state.ts'

/** A checkpoint that is only read: safe beside a running owner. */
export interface ReadCheckpoint {
  readonly checkpoint: Pick<CheckpointStore, 'load' | 'textOf'>
  readonly head: Head
  /** The store's address. */
  readonly address: string
  readonly store: Pick<ObjectStore, 'get'>
}

/** Reads HEAD without a claim. @throws MillraceError `user` that names `field` when there is no checkpoint. */
export async function readCheckpoint(
  components: Components,
  address: string,
  field: string,
  scratch: string,
): Promise<ReadCheckpoint> {
  const found = await findCheckpoint(components, address, field, scratch)
  if (!found)
    throw configError(
      field,
      address,
      'the folder of a checkpoint; it holds none (is it the one that backfill was given with --checkpoint?)',
    )
  return found
}

/** The same; undefined where there is no checkpoint yet. */
export async function findCheckpoint(
  components: Components,
  address: string,
  field: string,
  scratch: string,
): Promise<ReadCheckpoint | undefined> {
  const store = await components.openInput(address, field)
  const checkpoint = createCheckpointStore({
    store,
    owner: 'reader',
    newId: randomUUID,
    scratch,
    merge: () => Promise.reject(new Error('unreachable: a reader commits nothing')),
  })
  const head = await checkpoint.readHead()
  return head && { checkpoint, head, address: store.address, store }
}

/** By flow whose rows are changes of results: the columns that tell these apart. */
export function changeKeys(manifest: Manifest): Readonly<Record<string, readonly string[]>> {
  return settingsOf(manifest).changeKeys ?? {}
}

/** By flow whose results were given and may change by late rows: the columns that tell these apart. */
export function correctionKeys(manifest: Manifest): Readonly<Record<string, readonly string[]>> {
  return settingsOf(manifest).correctionKeys ?? {}
}

/** Name to type of what a flow's corrections hold. */
export function correctionColumns(manifest: Manifest, flow: string): ColumnTypes {
  return { ...plainTypes(changeColumns), ...outputColumns(manifest)[flow] }
}

/** Name to type of what each flow's output holds, as the last commit recorded it. */
export function outputColumns(manifest: Manifest): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return settingsOf(manifest).outputColumns ?? {}
}

/** What waits for sinks, or for flows that hand rows over. */
export function waitingFor(manifest: Manifest, is: 'sink' | 'rows'): readonly Unpublished[] {
  const { flows } = storedPlan(manifest.engine.plan)
  return manifest.unpublished.filter(({ output }) => (flows[output]?.op === 'rows') === (is === 'rows'))
}

/** Where each flow's output lay at the last commit, by the flow's name. */
export function outputsOf(manifest: Manifest): Readonly<Record<string, string>> {
  return settingsOf(manifest).outputs ?? {}
}
