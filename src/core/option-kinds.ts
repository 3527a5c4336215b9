import { nearestName } from './nearest.ts'
import { type Duration, parseDurationUs, durationForms } from './duration.ts'
import { parseSizeBytes, type Size, sizeForms } from './size.ts'
import {
  invalid,
  type Kind,
  type OptionTable,
  type OptionText,
  problemOfOptions,
  readText,
  valuesOfTexts,
} from './options.ts'

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

/** '128MB'. */
export const size: Kind<Size> = text<Size>(sizeForms, value => parseSizeBytes(value) !== undefined, 'SIZE')

export const aboveZero: Kind<Duration> = duration('a duration above zero', us => us > 0n)

export function oneOf<const W extends string>(...words: readonly W[]): Kind<W> {
  const expected = words.map(word => `'${word}'`).join(' or ')
  return {
    expected,
    placeholder: words.join('|'),
    fromText: value => value as W,
    problemOf(value) {
      if (words.some(word => word === value)) return undefined
      const near = typeof value === 'string' ? nearestName(value, words) : undefined
      return { ...invalid(value, expected), ...(near === undefined ? {} : { near }) }
    },
  }
}

/** Options within options. */
export function nested<O extends object>(table: OptionTable<O>): Kind<O> {
  const names = table as OptionTable
  return {
    expected: `options: { ${Object.keys(names).join(', ')} }`,
    table: names,
    problemOf: value => problemOfOptions(names, value),
    fromTexts(texts) {
      const read = isList(texts) ? undefined : valuesOfTexts(names, texts)
      return read === undefined || 'problem' in read ? undefined : (read.values as O)
    },
  }
}

const isList = (texts: OptionText): texts is readonly OptionText[] => Array.isArray(texts)

/** One value and no other, such as false beside a duration. */
export function only<const T extends boolean>(value: T): Kind<T> {
  return plain<T>(String(value), given => given === value, {
    fromText: given => (given === String(value) ? value : undefined),
  })
}

/** Either kind; of two that hold options the second one's mistakes are told. */
export function either<A, B>(first: Kind<A>, second: Kind<B>): Kind<A | B> {
  const kinds = [first, second] as const
  const expected = `${first.expected} or ${second.expected}`
  const table = first.table ?? second.table
  return {
    expected,
    placeholder: kinds.map(({ placeholder = 'true' }) => placeholder).join('|'),
    ...(table ? { table } : {}),
    problemOf(value) {
      const problems = kinds.map(kind => kind.problemOf(value))
      if (problems.some(problem => problem === undefined)) return undefined
      // What lies inside one of them says more than that it is neither.
      const inside = problems.find(problem => problem?.path !== '')
      if (inside) return inside
      const near = problems.flatMap(problem => (problem?.is === 'invalid' ? (problem.near ?? []) : []))[0]
      return { ...invalid(value, expected), ...(near === undefined ? {} : { near }) }
    },
    fromText(given) {
      const values = valuesSaid(kinds, given)
      // Where a list is taken, a comma stands between its items: '.log,.txt' is no suffix.
      return (given.includes(',') ? values.find(Array.isArray) : undefined) ?? values[0]
    },
    fromTexts: texts => valuesSaid(kinds, texts)[0],
  }
}

/** What each of the kinds reads, where it is a value of it. */
function valuesSaid<A, B>(kinds: readonly [Kind<A>, Kind<B>], text: OptionText): readonly (A | B)[] {
  return kinds.flatMap((kind: Kind<any>) => {
    const value: A | B | undefined = readText(kind, text)
    return value === undefined || kind.problemOf(value) !== undefined ? [] : [value]
  })
}

/** A list of at least one. As one text: with commas between. */
export function list<T>(items: Kind<T>, expected: string): Kind<readonly T[]> {
  const itemsSaid = (texts: readonly OptionText[]) => {
    const values = texts.map(text => readText(items, text))
    return values.includes(undefined) ? undefined : (values as T[])
  }
  return {
    expected,
    placeholder: `${items.placeholder},...`,
    ...(items.table ? { table: items.table } : {}),
    problemOf(value) {
      if (!Array.isArray(value) || value.length === 0) return invalid(value, expected)
      for (const [index, item] of value.entries()) {
        const problem = items.problemOf(item)
        if (problem) return { ...problem, path: `[${index}]${problem.path === '' ? '' : `.${problem.path}`}` }
      }
      return undefined
    },
    fromText: given => itemsSaid(given.split(',').map(item => item.trim())),
    fromTexts: texts => (isList(texts) ? itemsSaid(texts) : undefined),
  }
}

/** What code alone can give: a function, a signal, what another factory made. */
export function given<T>(expected: string, accepts: (value: unknown) => boolean): Kind<T> {
  return plain<T>(expected, accepts)
}
