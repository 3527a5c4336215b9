/** An oracle of arithmetic: rational numbers of BigInt, rounded once. */

/** Every finite double is a multiple of this, the smallest subnormal. */
export const unitExponent = -1074

/** A finite double in units of 2^-1074. */
export function exact(value: number): bigint {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)[0] as bigint
  const exponent = (bits >> 52n) & 0x7ffn
  const fraction = bits & ((1n << 52n) - 1n)
  const magnitude = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n)
  return bits >> 63n === 1n ? -magnitude : magnitude
}

/** numerator / denominator * 2^exponent to the nearest double, ties to even. */
export function round(numerator: bigint, denominator: bigint, exponent: number): number {
  if (numerator < 0n) return -round(-numerator, denominator, exponent)
  if (numerator === 0n) return 0
  const length = numerator.toString(2).length - denominator.toString(2).length
  // The quotient of 53 or 54 bits that this exponent gives; one more place when there are 54.
  for (let place = Math.max(length + exponent - 53, unitExponent); ; place++) {
    const shift = BigInt(place - exponent)
    const n = shift < 0n ? numerator << -shift : numerator
    const d = shift < 0n ? denominator : denominator << shift
    const whole = n / d
    if (whole >= 1n << 53n) continue
    const twice = 2n * (n % d)
    const up = twice > d || (twice === d && whole % 2n === 1n)
    return place > 971 ? Infinity : Number(up ? whole + 1n : whole) * 2 ** place
  }
}

/** The double after x, away from 0, or before it. */
export function neighbour(x: number, by: 1 | -1): number {
  const bits = new BigUint64Array(new Float64Array([x]).buffer)
  return new Float64Array(new BigUint64Array([(bits[0] as bigint) + BigInt(by)]).buffer)[0] as number
}

/** `value` is numerator / denominator * 2^exponent, denominator above 0, to one unit in the last place; exactly if it is a double. */
export function isWithinOneUnit(value: number, numerator: bigint, denominator: bigint, exponent: number): boolean {
  const nearest = round(numerator, denominator, exponent) + 0
  if (nearest === value) return true
  const isDouble = Number.isFinite(nearest) && isSame(exact(nearest), unitExponent, numerator, denominator, exponent)
  const size = Math.abs(nearest)
  const near = [neighbour(size, 1), size === 0 ? Number.NaN : neighbour(size, -1)]
  return !isDouble && Math.sign(nearest) * Math.sign(value) !== -1 && near.includes(Math.abs(value))
}

function isSame(units: bigint, unit: number, numerator: bigint, denominator: bigint, exponent: number): boolean {
  const least = Math.min(unit, exponent)
  return (units * denominator) << BigInt(unit - least) === numerator << BigInt(exponent - least)
}
