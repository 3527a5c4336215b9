import type { Input } from '../../../connectors/input/input.ts'
import { configError } from '../../core/errors.ts'
import { didYouMean } from '../../core/nearest.ts'
import { type AfterSettings, keepAll } from '../../plan/after.ts'
import type { Format } from '../../plan/format.ts'
import type { LookupDefinition } from '../../plan/lookup.ts'
import type { Terminal } from '../../plan/mini-batch.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import type { Components } from '../components.ts'
import { suffixesOf } from '../intake/key-kind.ts'
import { sourceOf } from '../intake/source.ts'
import { checkAfter } from './after-place.ts'
import { type Places, type SinkEnd, sinkEnds } from './outputs.ts'
import { isOverlap, pathWithin } from './places.ts'

/** Where a run reads and writes. */
export interface RunPlaces {
  /** By name of the source or lookup. */
  readonly inputs: ReadonlyMap<string, InputPlace>
  readonly ends: readonly SinkEnd[]
  readonly checkpoint: { readonly address: string; readonly field: string }
}

/** Where the objects of a source or of a lookup lie. */
export interface InputPlace {
  /** As errors name what reads it: 'source trips'. */
  readonly of: string
  readonly input: Input
  /** Names its place in errors. */
  readonly field: string
  /** What becomes of objects that are committed. */
  readonly after: AfterSettings
}

export interface AskedPlaces {
  readonly definitions: readonly SourceDefinition[]
  readonly lookups: readonly LookupDefinition[]
  readonly terminals: readonly Terminal[]
  /** By name of the source or lookup. */
  readonly formats: ReadonlyMap<string, Pick<Format, 'extensions'>>
  /** The pipeline's own checkpoint. */
  readonly checkpoint: string
  /** Other places for this run. */
  readonly options: {
    readonly input?: Places
    readonly output?: Places
    readonly checkpoint?: string
    readonly ledger?: string
  }
}

/** @throws MillraceError `user` for a place that is none, or lies where another one must not */
export async function findPlaces(
  { definitions, lookups, terminals, formats, options, ...asked }: AskedPlaces,
  components: Pick<Components, 'findInput' | 'sinks'>,
): Promise<RunPlaces> {
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
  const inputs = await findInputs(definitions, lookups, options, components)
  const suffixes = new Map(
    [...definitions, ...lookups].map(({ settings: { name }, keys }) => [
      name,
      suffixesOf(sourceOf(formats, name), keys),
    ]),
  )
  for (const [name, { input }] of inputs)
    for (const [address, field] of written) checkApart(input, address, field, sourceOf(suffixes, name))
  for (const { sink } of folders) checkOutside(sink.uri, checkpoint.address)
  for (const [source, { input, after }] of inputs) {
    const others = [...inputs].flatMap(([name, other]) =>
      name === source ? [] : [[other.input.root, `the place of ${other.of}`] as const],
    )
    const places = written.map(([address, field]) => [address, `the ${field}`] as const)
    await checkAfter(after, { source, input: input.root, written: [...others, ...places] })
  }
  await checkUnshared(inputs, suffixes)
  return { inputs, ends, checkpoint }
}

/** Refuses to take objects away that another source reads as well: it might come to them later. */
async function checkUnshared(
  inputs: RunPlaces['inputs'],
  suffixes: ReadonlyMap<string, readonly string[]>,
): Promise<void> {
  for (const [source, { input, after }] of inputs) {
    if (after.is !== 'delete' && after.is !== 'move') continue
    const field = `source ${source}: after`
    for (const [name, other] of inputs) {
      if (name === source || !areAlike(sourceOf(suffixes, source), sourceOf(suffixes, name))) continue
      const what = `the place of ${other.of}`
      if (await isOverlap(other.input.root, what, input.root, field))
        throw configError(
          field,
          after.is === 'move' ? 'moveTo' : after.is,
          `'keep' or 'tag', as ${what}, ${other.input.root}, has the same objects, which may still have to be read ` +
            'for that',
        )
    }
  }
}

/** Whether a key may end in one of each. */
function areAlike(a: readonly string[], b: readonly string[]): boolean {
  const isEnd = (one: string, other: string) => one.toLowerCase().endsWith(other.toLowerCase())
  return a.some(one => b.some(other => isEnd(one, other) || isEnd(other, one)))
}

async function findInputs(
  definitions: readonly SourceDefinition[],
  lookups: readonly LookupDefinition[],
  { input: given, ledger }: AskedPlaces['options'],
  components: Pick<Components, 'findInput'>,
): Promise<ReadonlyMap<string, InputPlace>> {
  const inputs = new Map<string, InputPlace>()
  const others = inputsGiven(given, { definitions, lookups })
  const find = async (of: string, name: string, objects: string, after: AfterSettings) => {
    const field = others[name] === undefined ? `${of}: objects` : 'input'
    inputs.set(name, { of, input: await components.findInput(others[name] ?? objects, field), field, after })
  }
  // A replay repeats what another run did: that one's objects stay as they are.
  for (const { settings, objects, after } of definitions)
    await find(`source ${settings.name}`, settings.name, objects, ledger === undefined ? after : keepAll)
  // Its versions of lookups come from the ledger.
  for (const { settings, objects } of ledger === undefined ? lookups : [])
    await find(`lookup ${settings.name}`, settings.name, objects, keepAll)
  return inputs
}

interface Named {
  readonly settings: { readonly name: string }
}

/** What reads objects: sources and lookups. */
export interface Readers {
  readonly definitions: readonly Named[]
  readonly lookups: readonly Named[]
}

/**
 * Other places for this run, by name of the source or lookup.
 *
 * @throws MillraceError `user` for a name that no source has, and for a place that may be meant for any of several
 */
export function inputsGiven(given: Places | undefined, readers: Readers): Readonly<Record<string, string>> {
  if (given === undefined) return {}
  const namesOf = (all: readonly Named[]) => all.map(({ settings }) => settings.name)
  const [sources, lookups] = [namesOf(readers.definitions), namesOf(readers.lookups)]
  const names = [...sources, ...lookups]
  const [only = '', ...others] = sources
  if (typeof given === 'string') {
    // `trips=data/trips` of a command line; `dt=2024/` is a folder, unless a source has that name.
    const name = names.find(found => given.startsWith(`${found}=`) && given.length > found.length + 1)
    if (name !== undefined) return { [name]: given.slice(name.length + 1) }
    if (others.length === 0) return { [only]: given }
    const example = `NAME=PLACE, such as ${only}=${given}`
    throw configError('input', given, `${example}, as there are several sources: ${sources.join(', ')}`)
  }
  const unknown = Object.keys(given).find(name => !names.includes(name))
  if (unknown !== undefined)
    throw configError(
      'input',
      unknown,
      `the name of a source${lookups.length > 0 ? ' or lookup' : ''}: ${names.join(', ')}${didYouMean(unknown, names)}`,
    )
  return given
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
