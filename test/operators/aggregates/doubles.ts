/** DOUBLEs that hurt arithmetic, for the aggregates of exact sums. */
import fc from 'fast-check'

export const sign = fc.constantFrom(1, -1)
/** Every exponent is as likely as any other. */
export const everyExponent = fc
  .tuple(fc.boolean(), fc.integer({ min: 0, max: 2046 }), fc.bigInt({ min: 0n, max: 2n ** 52n - 1n }))
  .map(([isNegative, exponent, fraction]) => {
    const bits = (BigInt(isNegative) << 63n) | (BigInt(exponent) << 52n) | fraction
    return new Float64Array(new BigUint64Array([bits]).buffer)[0] as number
  })
export const money = fc.integer({ min: -100_000, max: 10_000_000 }).map(cents => cents / 100)
export const subnormal = fc.tuple(sign, fc.integer({ min: 0, max: 2 ** 20 })).map(([s, n]) => s * n * 2 ** -1074)
/** Its square is beyond every DOUBLE. */
export const huge = fc
  .tuple(sign, fc.double({ min: 2 ** 1000, max: Number.MAX_VALUE, noNaN: true }))
  .map(([s, x]) => s * x)
/** What is left of the squares once they are subtracted is their last bits. */
export const cancelling = fc.integer({ min: -4, max: 4 }).map(n => 1e9 + n * 2 ** -23)
