import type { Aggregate } from './aggregate.ts'
import { countAggregate } from './count.ts'
import { maxAggregate } from './max.ts'
import { minAggregate } from './min.ts'
import { sumAggregate } from './sum.ts'

/** Every aggregate by name. A new one is a file here and a line below. */
export const aggregates: ReadonlyMap<string, Aggregate> = new Map(
  [countAggregate, maxAggregate, minAggregate, sumAggregate].map(aggregate => [aggregate.name, aggregate]),
)
