import { type Duration, parseDurationUs, durationForms } from './duration.ts'
import { invalid, type Kind, type OptionTable, problemOfOptions } from './options.ts'

// The kinds of values that options take.

/** A value of one JavaScript type, or of any that a predicate tells. */
function plain<T>(
  expected: string,
  accepts: (value: unknown) => boolean,
  more: Pick<Kind<T>, 'placeholder' | 'fromText'> = {},
): Kind<T> {
  return { expected, ...more, problemOf: value => (accepts(value) ? undefined : invalid(value, expected)) }
}

/** Text. @param accepts default: all but the empty one */
export function text<T extends string = string>(
  expected = 'text that is not empty',
  accepts: (value: string) => boolean = value => value.trim() !== '',
  placeholder = 'TEXT',
): Kind<T> {
  const isGood = (value: unknown) => typeof value === 'string' && accepts(value)
  return plain<T>(expected, isGood, { placeholder, fromText: value => value as T })
}

/** Where objects, state or results lie. */
export const place: Kind<string> = text('a directory, or a file:// or s3:// address', undefined, 'ADDRESS')

export const flag: Kind<boolean> = plain('true or false', value => typeof value === 'boolean', {
  fromText: value => (value === 'true' ? true : value === 'false' ? false : undefined),
})

export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER): Kind<number> {
  const expected =
    most < Number.MAX_SAFE_INTEGER
      ? `a whole number from ${least} to ${most}`
      : least === 1
        ? 'a whole number above zero'
        : `a whole number of at least ${least}`
  const accepts = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
  return plain<number>(expected, accepts, {
    placeholder: 'N',
    fromText: value => (/^-?\d{1,16}$/.test(value) ? Number(value) : undefined),
  })
}

/** @param accepts is never asked about NaN */
export function number(expected: string, accepts: (value: number) => boolean): Kind<number> {
  return plain<number>(expected, value => typeof value === 'number' && !Number.isNaN(value) && accepts(value), {
    placeholder: 'N',
    fromText: value => (/^-?\d+(\.\d+)?(e-?\d+)?$/i.test(value) ? Number(value) : undefined),
  })
}

/** '90s', '1 hour'. @param accepts microseconds */
export function duration(
  expected: string = durationForms,
  accepts: (us: bigint) => boolean = () => true,
): Kind<Duration> {
  return {
    expected,
    placeholder: 'DURATION',
    fromText: value => value as Duration,
    problemOf(value) {
      const us = typeof value === 'string' ? parseDurationUs(value) : undefined
      if (us === undefined) return invalid(value, durationForms)
      return accepts(us) ? undefined : invalid(value, expected)
    },
  }
}

export const aboveZero: Kind<Duration> = duration('a duration above zero', us => us > 0n)

export function oneOf<const W extends string>(...words: readonly W[]): Kind<W> {
  return plain<W>(words.map(word => `'${word}'`).join(' or '), value => words.some(word => word === value), {
    placeholder: words.join('|'),
    fromText: value => value as W,
  })
}

/** Options within options. */
export function nested<O extends object>(table: OptionTable<O>): Kind<O> {
  const names = table as OptionTable
  return {
    expected: `options: { ${Object.keys(names).join(', ')} }`,
    table: names,
    problemOf: value => problemOfOptions(names, value),
  }
}
