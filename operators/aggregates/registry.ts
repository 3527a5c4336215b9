import type { Aggregate } from './aggregate.ts'
import { approxDistinctAggregate } from './approx-distinct.ts'
import { argMaxAggregate } from './arg-max.ts'
import { argMinAggregate } from './arg-min.ts'
import { avgAggregate } from './avg.ts'
import { collectAggregate } from './collect.ts'
import { countDistinctAggregate } from './count-distinct.ts'
import { countAggregate } from './count.ts'
import { exactQuantileAggregate } from './exact-quantile.ts'
import { firstAggregate } from './first.ts'
import { lastAggregate } from './last.ts'
import { maxAggregate } from './max.ts'
import { minAggregate } from './min.ts'
import { quantileAggregate } from './quantile.ts'
import { stddevPopAggregate } from './stddev-pop.ts'
import { stddevAggregate } from './stddev.ts'
import { sumAggregate } from './sum.ts'
import { topKAggregate } from './top-k.ts'
import { varPopAggregate } from './var-pop.ts'
import { varianceAggregate } from './variance.ts'

/** Every aggregate by name. A new one is a file here and a line below. */
export const aggregates: ReadonlyMap<string, Aggregate> = new Map(
  [
    approxDistinctAggregate,
    argMaxAggregate,
    argMinAggregate,
    avgAggregate,
    collectAggregate,
    countAggregate,
    countDistinctAggregate,
    exactQuantileAggregate,
    firstAggregate,
    lastAggregate,
    maxAggregate,
    minAggregate,
    quantileAggregate,
    stddevAggregate,
    stddevPopAggregate,
    sumAggregate,
    topKAggregate,
    varPopAggregate,
    varianceAggregate,
  ].map(aggregate => [aggregate.name, aggregate]),
)
