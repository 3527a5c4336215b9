import type { Input } from '../../../connectors/input/input.ts'
import { configError } from '../../core/errors.ts'
import { type AfterSettings, keepAll } from '../../plan/after.ts'
import type { Format } from '../../plan/format.ts'
import type { Terminal } from '../../plan/mini-batch.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import type { Components } from '../components.ts'
import { suffixesOf } from '../intake/key-kind.ts'
import { checkAfter } from './after-place.ts'
import { type Places, type SinkEnd, sinkEnds } from './outputs.ts'
import { pathWithin } from './places.ts'

/** Where a run reads and writes. */
export interface RunPlaces {
  readonly input: Input
  /** Names its place in errors. */
  readonly inputField: string
  readonly ends: readonly SinkEnd[]
  readonly checkpoint: { readonly address: string; readonly field: string }
  /** What becomes of objects that are committed. */
  readonly after: AfterSettings
}

export interface AskedPlaces {
  readonly definition: SourceDefinition
  readonly terminals: readonly Terminal[]
  readonly format: Pick<Format, 'extensions'>
  /** The pipeline's own checkpoint. */
  readonly checkpoint: string
  /** Other places for this run. */
  readonly options: {
    readonly input?: string
    readonly output?: Places
    readonly checkpoint?: string
    readonly ledger?: string
  }
}

/** @throws MillraceError `user` for a place that is none, or lies where another one must not */
export async function findPlaces(
  { definition, terminals, format, options, ...asked }: AskedPlaces,
  components: Pick<Components, 'findInput' | 'sinks'>,
): Promise<RunPlaces> {
  const { name } = definition.settings
  const inputField = options.input === undefined ? `source ${name}: objects` : 'input'
  const input = await components.findInput(options.input ?? definition.objects, inputField)
  const ends = sinkEnds(terminals, options.output, components.sinks)
  const folders = ends.filter(({ kind }) => kind.isFolder)
  const checkpoint = {
    address: options.checkpoint ?? asked.checkpoint,
    field: options.checkpoint === undefined ? 'pipeline checkpoint' : 'checkpoint',
  }
  const written = [
    ...folders.map(({ sink }) => [sink.uri, 'output'] as const),
    [checkpoint.address, checkpoint.field] as const,
  ]
  for (const [address, field] of written) checkApart(input, address, field, suffixesOf(format, definition.keys))
  for (const { sink } of folders) checkOutside(sink.uri, checkpoint.address)
  // A replay repeats what another run did: that one's objects stay as they are.
  const after = options.ledger === undefined ? definition.after : keepAll
  await checkAfter(after, {
    source: name,
    input: input.root,
    written: written.map(([address, field]) => [address, `the ${field}`] as const),
  })
  return { input, inputField, ends, checkpoint, after }
}

/** What the files of checkpoints and output end in. */
const writtenSuffixes: readonly string[] = ['.parquet', '.jsonl', '.csv'].flatMap(name => [
  name,
  `${name}.gz`,
  `${name}.zst`,
])

/** Refuses to write where the input is read: the next run would take this one's files for objects. */
function checkApart(input: Input, address: string, field: string, suffixes: readonly string[]): void {
  const inside = pathWithin(input.root, 'input', address, field)
  if (inside === undefined) return
  const read = writtenSuffixes.filter(name => suffixes.some(suffix => name.endsWith(suffix.toLowerCase())))
  const names = [suffixes[0] ?? '', ...read]
  const folder = inside === '' ? '' : `${inside}/`
  if (names.some(name => input.matches(`${folder}part${name}`) || input.matches(`${folder}zone=1/part${name}`)))
    throw configError(field, address, `a folder outside the input ${input.root}`)
}

/**
 * Refuses output inside the checkpoint's folder, where only the checkpoint's own files may lie: the rest are orphans.
 */
function checkOutside(address: string, checkpoint: string): void {
  if (pathWithin(checkpoint, 'checkpoint', address, 'output') !== undefined)
    throw configError('output', address, `a folder outside the checkpoint ${checkpoint}`)
}
