import type { Operation, SinkPort } from '../../core/sink-port.ts'
import type { Behind, SinkReader } from '../../plan/sink.ts'
import type { HoldLimits } from '../state/held.ts'
import type { SnapshotLimits } from '../state/snapshots.ts'

/** An output may be this far behind, where it is not told otherwise. */
export const behindDefault = { epochsMax: 10, bytesMax: 256 * 1024 * 1024 } as const satisfies Behind

/** Where the rows of one flow go. */
export interface Output {
  /** The flow's name. */
  readonly name: string
  /** `rows`: to the user's own code. */
  readonly is: 'sink' | 'rows'
  readonly sink: SinkPort
  readonly operation: Operation
  readonly behind: Behind
  /** Until when committed rows wait for those of later epochs. */
  readonly hold?: HoldLimits | undefined
  /** Of a flow whose latest results are written as a whole now and then. */
  readonly snapshot?: Snapshots | undefined
}

export interface Snapshots {
  readonly limits: SnapshotLimits
  /** What brings published rows back; undefined where the kind of sink cannot. */
  reader(): Promise<SinkReader | undefined>
}
