import { configError } from '../../src/core/errors.ts'
import type { Json } from '../../src/core/json.ts'

/**
 * Positions of the topic, or undefined where the checkpoint has none of it.
 *
 * @throws MillraceError `user` for what this source never wrote.
 */
export function positionsOf(positions: Json, topic: string): ReadonlyMap<number, number> | undefined {
  if (positions === null) return undefined
  const expected = '{ topic: { partition: offset } }, as a Kafka source leaves it in the checkpoint'
  if (!isRecord(positions)) throw configError('positions', positions, expected)
  const own = Object.hasOwn(positions, topic) ? positions[topic] : undefined
  if (own === undefined) return undefined
  if (!isRecord(own)) throw configError('positions', positions, expected)
  return new Map(
    Object.entries(own).map(([partition, offset]) => {
      if (!/^\d{1,9}$/.test(partition) || !Number.isSafeInteger(offset) || (offset as number) < 0)
        throw configError('positions', positions, expected)
      return [Number(partition), offset as number]
    }),
  )
}

function isRecord(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
