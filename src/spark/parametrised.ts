import type { PortableQuery } from './portable-plan.ts'

/** Numbers that stand for parameters while SQL is made: a time of today, one before 1970, and one beyond all times. */
const standIns = [1_649_267_441_664_073n, -1_311_738_121_664_073n, 8_070_450_532_247_928_833n] as const

/**
 * SQL with parameters in the place of the numbers of a run. It is made with several sets of numbers: where it is not
 * the same text for each, something was computed of them, and no parameter can stand there.
 *
 * @param make SQL from the number of each parameter
 * @returns undefined where it is such a text
 */
export function parametrised<N extends string>(
  names: readonly N[],
  make: (values: Readonly<Record<N, bigint>>) => string,
): PortableQuery | undefined {
  const [sql, ...others] = standIns.map(first => {
    const values = names.map((name, index) => [name, first + BigInt(index)] as const)
    return values.reduce(
      (text, [name, value]) => text.replace(new RegExp(`(?<!\\d)${value}(?!\\d)`, 'g'), () => parameter(name)),
      make(Object.fromEntries(values) as Record<N, bigint>),
    )
  }) as [string, ...string[]]
  if (others.some(other => other !== sql)) return undefined
  return { sql, parameters: names.filter(name => sql.includes(parameter(name))) }
}

const parameter = (name: string) => `CAST($${name} AS BIGINT)`
