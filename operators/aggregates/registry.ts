import type { Base } from '../../src/core/types.ts'
import type { AnyAggregate, CallOf, ResultOf } from './aggregate.ts'
import { approxDistinctAggregate } from './approx-distinct.ts'
import { argMaxAggregate } from './arg-max.ts'
import { argMinAggregate } from './arg-min.ts'
import { avgAggregate } from './avg.ts'
import { bitAndAggregate } from './bit-and.ts'
import { bitOrAggregate } from './bit-or.ts'
import { bitXorAggregate } from './bit-xor.ts'
import { boolAndAggregate } from './bool-and.ts'
import { boolOrAggregate } from './bool-or.ts'
import { collectSetAggregate } from './collect-set.ts'
import { collectAggregate } from './collect.ts'
import { corrAggregate } from './corr.ts'
import { countDistinctAggregate } from './count-distinct.ts'
import { countAggregate } from './count.ts'
import { covarPopAggregate } from './covar-pop.ts'
import { covarSampAggregate } from './covar-samp.ts'
import { entropyAggregate } from './entropy.ts'
import { exactQuantileAggregate } from './exact-quantile.ts'
import { firstAggregate } from './first.ts'
import { histogramAggregate } from './histogram.ts'
import { largestAggregate } from './largest.ts'
import { lastAggregate } from './last.ts'
import { listaggAggregate } from './listagg.ts'
import { maxAggregate } from './max.ts'
import { medianAggregate } from './median.ts'
import { minAggregate } from './min.ts'
import { modeAggregate } from './mode.ts'
import { productAggregate } from './product.ts'
import { quantileAggregate } from './quantile.ts'
import { regrInterceptAggregate } from './regr-intercept.ts'
import { regrR2Aggregate } from './regr-r2.ts'
import { regrSlopeAggregate } from './regr-slope.ts'
import { smallestAggregate } from './smallest.ts'
import { stddevPopAggregate } from './stddev-pop.ts'
import { stddevAggregate } from './stddev.ts'
import { sumAggregate } from './sum.ts'
import { topKAggregate } from './top-k.ts'
import { varPopAggregate } from './var-pop.ts'
import { varianceAggregate } from './variance.ts'

/** Every aggregate by name. A new one is a file here and a line below. */
const registry = {
  approxDistinct: approxDistinctAggregate,
  argMax: argMaxAggregate,
  argMin: argMinAggregate,
  avg: avgAggregate,
  bitAnd: bitAndAggregate,
  bitOr: bitOrAggregate,
  bitXor: bitXorAggregate,
  boolAnd: boolAndAggregate,
  boolOr: boolOrAggregate,
  collect: collectAggregate,
  collectSet: collectSetAggregate,
  corr: corrAggregate,
  count: countAggregate,
  countDistinct: countDistinctAggregate,
  covarPop: covarPopAggregate,
  covarSamp: covarSampAggregate,
  entropy: entropyAggregate,
  exactQuantile: exactQuantileAggregate,
  first: firstAggregate,
  histogram: histogramAggregate,
  largest: largestAggregate,
  last: lastAggregate,
  listagg: listaggAggregate,
  max: maxAggregate,
  median: medianAggregate,
  min: minAggregate,
  mode: modeAggregate,
  product: productAggregate,
  quantile: quantileAggregate,
  regrIntercept: regrInterceptAggregate,
  regrR2: regrR2Aggregate,
  regrSlope: regrSlopeAggregate,
  smallest: smallestAggregate,
  stddev: stddevAggregate,
  stddevPop: stddevPopAggregate,
  sum: sumAggregate,
  topK: topKAggregate,
  varPop: varPopAggregate,
  variance: varianceAggregate,
} as const satisfies Readonly<Record<string, AnyAggregate>>

export const aggregates: ReadonlyMap<string, AnyAggregate> = new Map(Object.entries(registry))

type Registry = typeof registry
type TypesOf<N extends keyof Registry> = NonNullable<Registry[N]['types']>

/** The calls of any aggregate that columns allow. */
export type AnyCall<C> = { readonly [N in keyof Registry]: CallOf<TypesOf<N>, C> }[keyof Registry]

/**
 * SQL type of what a call over columns gives. A filter may leave no row, so nothing is promised then but of a count.
 */
export type AggregateResult<C, A> = A extends { readonly aggregate: infer N extends keyof Registry }
  ? A extends { readonly filter: string }
    ? TypesOf<N> extends { readonly isCount: true }
      ? ResultOf<TypesOf<N>, C, A>
      : Base<ResultOf<TypesOf<N>, C, A>>
    : ResultOf<TypesOf<N>, C, A>
  : never
