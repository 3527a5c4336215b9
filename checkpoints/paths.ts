import { MillraceError } from '../src/core/errors.ts'

/** The one mutable object of a checkpoint (P3). */
export const headKey = 'HEAD'
/** Copies of manifests. Also a <kind>, so no channel may have this name. */
export const manifestsKind = 'manifests'
/** Rows that wait to be taken. A <kind> as well. */
export const deliveries = 'deliveries'
/** Folder in an output's store that holds what is not output (P8). */
export const outputPrefix = '_millrace/'
export const stagedPrefix = `${outputPrefix}staged/`
export const markerKey = `${outputPrefix}owner.json`

/** What the name of an immutable file tells. */
export interface FileName {
  readonly kind: string
  readonly term: number
  readonly epoch: number
}

/** `<kind>/<term>-<epoch>-<id>.<extension>`: never used twice, because the id is fresh. */
export function filePath(name: FileName, id: string, extension: 'parquet' | 'json'): string {
  return `${name.kind}/${name.term}-${name.epoch}-${id}.${extension}`
}

/** Undefined for names that no checkpoint gives: they are left alone. */
export function parseFilePath(path: string): FileName | undefined {
  const match = /^([^/]+)\/(\d+)-(\d+)-[A-Za-z0-9-]+\.(?:parquet|json)$/.exec(path)
  const kind = match?.[1]
  if (match === null || kind === undefined || (kind !== manifestsKind && !isFileKind(kind))) return undefined
  return { kind, term: Number(match[2]), epoch: Number(match[3]) }
}

export function stagedPath(term: number, epoch: number, id: string): string {
  return `${stagedPrefix}${term}-${epoch}-${id}`
}

export function parseStagedPath(path: string): { readonly term: number; readonly epoch: number } | undefined {
  const match = /^_millrace\/staged\/(\d+)-(\d+)-[A-Za-z0-9-]+$/.exec(path)
  return match === null ? undefined : { term: Number(match[1]), epoch: Number(match[2]) }
}

/** Keys of one probe (P4); the mutable one comes last. */
export function probePaths(
  prefix: string,
  id: string,
): { source: string; target: string; fresh: string; head: string } {
  const folder = `${prefix}probe/${id}`
  return { source: `${folder}/source`, target: `${folder}/target`, fresh: `${folder}/fresh`, head: `${folder}/HEAD` }
}

/** Kinds are folder names of the checkpoint, so they come from a closed list of forms: the channels, and deliveries. */
export function checkFileKind(kind: string): void {
  if (isFileKind(kind)) return
  throw new MillraceError(
    'fatal',
    'invalid-kind',
    `'${kind}' is no kind of file: expected ledger, outputs, quarantine, ` +
      'after, deliveries, late-<node>, segment-<node>, held-<flow> or lookup-<name>. This is a bug.',
  )
}

/**
 * Channels of the whole pipeline, and those of which each step, flow or lookup has its own: `late-<node>`,
 * `held-<flow>`; and what is no channel.
 */
const whole = ['ledger', 'outputs', 'quarantine', 'after', deliveries]
const byNode = ['late', 'segment', 'held', 'lookup']

/** Prefixes under which all files of a checkpoint lie. */
export const kindPrefixes: readonly string[] = [
  ...[manifestsKind, ...whole].map(kind => `${kind}/`),
  ...byNode.map(kind => `${kind}-`),
]

const fileKind = new RegExp(`^(?:${whole.join('|')}|(?:${byNode.join('|')})-[A-Za-z0-9_-]+)$`)

function isFileKind(name: string): boolean {
  return fileKind.test(name)
}
