import { showValue } from '../core/errors.ts'
import type { Places } from '../engine/publish/outputs.ts'
import { nameAndValue, usageError } from './options.ts'

/** What several `--output` say together: one place, or one for each flow that is named. */
export function outputPlaces(command: string, given: readonly Places[] | undefined): { readonly output?: Places } {
  const output = together(command, 'output', 'FLOW', given)
  return output === undefined ? {} : { output }
}

/** What several `--input` say together: one place, or one for each source that is named. */
export function inputPlaces(command: string, given: readonly Places[] | undefined): { readonly input?: Places } {
  const [only, ...others] = given ?? []
  // Whether `dt=2024/` names a source shows when the sources are known.
  if (only === undefined || others.length === 0) return only === undefined ? {} : { input: only }
  const named = given?.map(place => {
    const parts = typeof place === 'string' ? nameAndValue(place) : undefined
    return parts ? { [parts.name]: parts.value } : place
  })
  const input = together(command, 'input', 'SOURCE', named)
  return input === undefined ? {} : { input }
}

function together(
  command: string,
  option: string,
  what: string,
  given: readonly Places[] | undefined,
): Places | undefined {
  const [first, ...others] = given ?? []
  if (first === undefined || others.length === 0) return first
  const named: Record<string, string> = {}
  for (const places of given ?? []) {
    if (typeof places === 'string')
      throw usageError(
        command,
        `--${option}: ${showValue(places)} stands beside others; expected --${option} ${what}=ADDRESS of each.`,
      )
    for (const [name, place] of Object.entries(places)) {
      if (Object.hasOwn(named, name)) throw usageError(command, `--${option}: ${name} is given twice; expected once.`)
      named[name] = place
    }
  }
  return named
}
