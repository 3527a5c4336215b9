import type { Admitted, MiniBatches } from './admit.ts'

/**
 * The mini-batches of several heads as one: each is handed on as soon as it is there, and in turn where several are.
 * It ends when all have ended.
 */
export function inTurn(heads: readonly MiniBatches[]): MiniBatches {
  let left = [...heads]
  const asked = new Map<
    MiniBatches,
    Promise<{ readonly head: MiniBatches; readonly batch: readonly Admitted[] | undefined }>
  >()
  const ask = (head: MiniBatches) => {
    const asking = asked.get(head) ?? head.next().then(batch => ({ head, batch }))
    asked.set(head, asking)
    return asking
  }
  return {
    async next() {
      while (left.length > 0) {
        const all = left.map(ask)
        // Of those that wait meanwhile one may fail: that is told when its turn comes.
        for (const asking of all) asking.catch(() => {})
        const { head, batch } = await Promise.race(all)
        asked.delete(head)
        const others = left.filter(other => other !== head)
        left = batch ? [...others, head] : others
        if (batch) return batch
      }
      return undefined
    },
  }
}
