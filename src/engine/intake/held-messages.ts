import type { Notification } from '../../core/ports.ts'

/** A message that is held until every object it names is in the ledger (P9). */
export interface HeldMessage {
  readonly notification: Notification
  /** Objects of it that are not in the ledger yet. */
  open: number
}

export interface HeldMessages {
  /** @param objects how many the message names; with none it is acknowledged at once */
  hold(notification: Notification, objects: number): HeldMessage
  /** So many objects of the message are in the ledger; with the last one it is acknowledged. */
  settle(held: HeldMessage, objects: number): void
  /** Waits for acknowledgements under way. */
  acknowledged(): Promise<void>
  /** Gives back every message that is not settled. */
  release(): Promise<void>
}

/** @param onTrouble told when an answer failed: the message comes again, and is acknowledged on sight */
export function createHeldMessages(onTrouble: (what: string, error: unknown) => void): HeldMessages {
  const all = new Set<HeldMessage>()
  const acknowledging = new Set<Promise<void>>()

  function settle(held: HeldMessage, objects: number): void {
    held.open -= objects
    if (held.open > 0 || !all.delete(held)) return
    const done: Promise<void> = held.notification
      .acknowledge()
      .catch((error: unknown) => onTrouble(`acknowledging message ${held.notification.id}`, error))
      .finally(() => acknowledging.delete(done))
    acknowledging.add(done)
  }

  return {
    hold(notification, objects) {
      const held = { notification, open: objects }
      all.add(held)
      // It names nothing that the source reads.
      if (objects === 0) settle(held, 0)
      return held
    },
    settle,
    async acknowledged() {
      await Promise.all(acknowledging)
    },
    async release() {
      const giveBack = ({ notification }: HeldMessage) =>
        notification.release().catch((error: unknown) => onTrouble(`releasing message ${notification.id}`, error))
      await Promise.all([...all].map(giveBack))
      all.clear()
    },
  }
}
