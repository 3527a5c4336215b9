import type { Wanted } from '../../core/object-version.ts'
import { badObject, goneObject, type MarkedObject, recorded } from './marked-object.ts'
import type { Patience } from './patience.ts'
import { type ReadyContext, readyObject } from './ready-object.ts'
import type { Room } from './room.ts'
import type { SpooledVersion } from './spooled-version.ts'

/** The store tells a size with every answer: one that tells another so often cannot be read. */
const sizesMax = 3

export interface SpoolingContext extends ReadyContext {
  readonly patience: Patience
  /** Bounds how many objects are fetched at once. */
  inTurn<T>(sizeBytes: number, work: () => Promise<T>): Promise<T>
}

/** An object for which there is no room in this mini-batch, with the size that the store has told. */
export interface Left {
  readonly left: Wanted
}

type InSpool = SpooledVersion | MarkedObject | Left

/** The object in the spool, or what is wrong with it. Asked again while the store fails at it alone. */
export function spoolInTurn(context: SpoolingContext, object: Wanted, room: Room): Promise<InSpool> {
  return context.patience.read<InSpool>(
    object,
    () => spoolBySize(context, object, room),
    reason => goneObject(context, recorded(object), reason),
  )
}

/** By the size that the store tells. */
async function spoolBySize(context: SpoolingContext, object: Wanted, room: Room): Promise<InSpool> {
  let next = object
  for (let sizes = 0; sizes < sizesMax; sizes++) {
    const wanted = next
    const found = await context.inTurn(wanted.sizeBytes, () => spoolOnce(context, wanted, room))
    if (!('told' in found)) return found
    next = found.told
  }
  return badObject(context, recorded(next), `the store tells another size of it each time, now ${next.sizeBytes} bytes`)
}

async function spoolOnce(
  context: SpoolingContext,
  wanted: Wanted,
  room: Room,
): Promise<InSpool | { readonly told: Wanted }> {
  if (!room.takes(wanted)) return { left: wanted }
  const ready = await readyObject(context, wanted)
  if ('is' in ready && ready.is === 'other-size') {
    const told = { ...wanted, sizeBytes: ready.sizeBytes }
    return room.takes(told) ? { told } : { left: told }
  }
  if ('discard' in ready) {
    // It is there already; for what comes after it there may be no room.
    room.takes(ready.version)
    context.patience.gave(ready.version)
  }
  return ready
}
