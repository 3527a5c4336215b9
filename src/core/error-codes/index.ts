import { checkpointCodes } from './checkpoint.ts'
import { inputCodes } from './input.ts'
import { outputCodes } from './output.ts'
import { pipelineCodes } from './pipeline.ts'
import { processCodes } from './process.ts'
import { serviceCodes } from './service.ts'
import type { ErrorHelp } from './help.ts'

/** Every code that an error can have, under the heading of what it is about. */
export const errorCodes = {
  'The command line and the pipeline': pipelineCodes,
  'Objects and lookups': inputCodes,
  'Stores, queues and topics': serviceCodes,
  'Where results go': outputCodes,
  'Checkpoints and replays': checkpointCodes,
  'The process': processCodes,
} as const

type Groups = typeof errorCodes
type CodesOf<G> = G extends unknown ? keyof G : never

/** A code that an error can have. */
export type ErrorCode = CodesOf<Groups[keyof Groups]>

/** Undefined for what is no code. */
export function helpOfCode(code: string): ErrorHelp | undefined {
  for (const group of Object.values(errorCodes) as readonly Readonly<Record<string, ErrorHelp>>[])
    if (Object.hasOwn(group, code)) return group[code]
  return undefined
}

export const allCodes: readonly string[] = Object.values(errorCodes).flatMap(group => Object.keys(group))
