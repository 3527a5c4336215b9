import type { Places } from '../engine/publish/outputs.ts'
import { usageError } from './options.ts'

/** What several `--output` say together: one place, or one for each flow that is named. */
export function outputPlaces(command: string, given: readonly Places[] | undefined): { readonly output?: Places } {
  const [first, ...others] = given ?? []
  if (first === undefined) return {}
  if (others.length === 0) return { output: first }
  const named: Record<string, string> = {}
  for (const places of given ?? []) {
    if (typeof places === 'string')
      throw usageError(command, `--output: '${places}' stands beside others; expected --output FLOW=ADDRESS of each.`)
    for (const [flow, place] of Object.entries(places)) {
      if (Object.hasOwn(named, flow)) throw usageError(command, `--output: ${flow} is given twice; expected once.`)
      named[flow] = place
    }
  }
  return { output: named }
}
