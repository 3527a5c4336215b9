/** What a commit on main left behind: written once by `write.ts` with that commit's own code, read by every later one. */
import { readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { millraceBin } from '../../built.ts'
import { nodeBinary } from '../../cli/child.ts'
import type { Place, Seen } from '../../golden/seen.ts'

export const corpusRoot = fileURLToPath(new URL('./', import.meta.url))

export interface CorpusPipeline {
  readonly name: string
  readonly input: 'months' | 'readings' | 'events'
  /** Environment variables that name its output folders. None: --output names the only one. */
  readonly folders?: readonly string[]
  /** Its sources, where there are several: all read the same input. */
  readonly sources?: readonly string[]
  /** Its lookups: the folder of each beside those of inputs. */
  readonly tables?: Readonly<Record<string, string>>
  /** Late rows are applied on the way; these columns tell the results apart that this changes. */
  readonly correctedBy?: readonly string[]
}

export const corpusPipelines: readonly CorpusPipeline[] = [
  { name: 'tumbling-zones', input: 'months' },
  { name: 'hopping-zones', input: 'months' },
  { name: 'refunds', input: 'months' },
  { name: 'two-flows', input: 'months', folders: ['CORPUS_ZONES', 'CORPUS_REFUNDS'] },
  { name: 'every-aggregate', input: 'months' },
  { name: 'busiest-hours', input: 'months' },
  { name: 'sensors', input: 'readings' },
  { name: 'events', input: 'events' },
  { name: 'few-files', input: 'events', folders: ['CORPUS_SMALL', 'CORPUS_LARGE'] },
  {
    name: 'meeting-sources',
    input: 'events',
    folders: ['CORPUS_HOURLY', 'CORPUS_PAIRS'],
    sources: ['events', 'again'],
  },
  { name: 'looking-up', input: 'events', sources: ['events'], tables: { kinds: 'kinds' } },
  {
    name: 'late-hours',
    input: 'events',
    folders: ['CORPUS_HOURS', 'CORPUS_QUARTERS'],
    sources: ['events'],
    correctedBy: ['window_end', 'kind'],
  },
]

/**
 * How a checkpoint was left. `killed`: in the middle, so HEAD names an owner and output that may not be published.
 * `drained`: after half of the input, with open windows. `sealed`: by a final flush.
 */
export const corpusStates = ['killed', 'drained', 'sealed'] as const

/** What a run over the whole input ends with, whoever did the first part of it. */
export type Expected = Pick<Seen, 'rows' | 'late' | 'totals'>

export const placeIn = (folder: string, { folders = ['output'], correctedBy }: CorpusPipeline): Place => ({
  checkpoint: join(folder, 'checkpoint'),
  outputs: folders.map(name => join(folder, name.toLowerCase())),
  ...(correctedBy && { changesOf: correctedBy }),
})

/** What follows `millrace` on the command line, and its environment. */
export function millraceCall(command: string, pipeline: CorpusPipeline, place: Place, input: string) {
  const { folders, sources, tables = {} } = pipeline
  const [output] = place.outputs
  return {
    file: nodeBinary,
    args: [
      millraceBin(),
      command,
      join(corpusRoot, 'pipelines', `${pipeline.name}.ts`),
      '--json',
      '--threads=2',
      '--memory=1GB',
      ...(sources?.map(name => `--input=${name}=${input}`) ?? [`--input=${input}`]),
      ...Object.entries(tables).map(([name, folder]) => `--input=${name}=${join(input, '..', folder)}`),
      `--checkpoint=${place.checkpoint}`,
      // A replay is cut otherwise than the run was.
      ...(command === 'backfill' ? ['--objects-per-epoch=1'] : []),
      ...(folders === undefined ? [`--output=${output}`] : []),
    ],
    env: Object.fromEntries((folders ?? []).map((name, i) => [name, place.outputs[i] as string])),
  }
}

/** A file's time is part of its identity (P1), and no checkout keeps it: every input has this one. */
const inputTime = new Date('2024-01-01T00:00:00Z')

export async function setInputTimes(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await utimes(join(folder, name), inputTime, inputTime)
}
