import { about, type Finding } from '../../core/finding.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import { showBytes, showCounted } from '../../core/quantity.ts'
import type { Terminal } from '../../plan/mini-batch.ts'
import { chain, sourcesOf } from '../../plan/node.ts'
import { keyPeriod } from '../../plan/key-period.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'

/** A source, and the objects that lie there. */
export interface SeenSource {
  readonly definition: SourceDefinition
  readonly versions: readonly ObjectVersion[]
}

/** What sources that feed one step make each other wait for. */
export function judgeWaiting(terminals: readonly Terminal[], seen: readonly SeenSource[]): readonly Finding[] {
  return groupsOf(terminals).flatMap(names => {
    const sources = seen.filter(({ definition }) => names.includes(definition.settings.name))
    return [...judgeEmpty(sources), ...judgePeriodsApart(sources)]
  })
}

/** The names of sources whose rows come together in a step that keeps state, each group once. */
function groupsOf(terminals: readonly Terminal[]): readonly (readonly string[])[] {
  const groups = new Map<string, readonly string[]>()
  for (const node of terminals.flatMap(terminal => chain(terminal.node))) {
    const names = sourcesOf(node).map(({ name }) => name)
    if (node.step.is === 'stateful' && names.length > 1) groups.set(names.join('\n'), names)
  }
  return [...groups.values()]
}

/** An empty source has no watermark: a run that follows gives nothing before it has one (S4). */
function judgeEmpty(sources: readonly SeenSource[]): readonly Finding[] {
  const empty = sources.filter(
    ({ definition: { live }, versions }) => versions.length === 0 && live.idleMs === undefined,
  )
  const others = (name: string) =>
    sources.flatMap(({ definition: { settings } }) => (settings.name === name ? [] : [settings.name])).join(', ')
  return empty.map(({ definition: { settings } }) =>
    about('watermark')(
      'warning',
      `source ${settings.name}: nothing lies there yet, and it does not say watermark.idle: while a run follows, ` +
        `what comes together with rows of ${others(settings.name)} waits until it has an object, however long that ` +
        "takes. How long may it be silent? Say so, such as idle: '15 minutes'",
    ),
  )
}

/** An object with the period of its key, as a backfill takes it. */
interface Placed extends Pick<ObjectVersion, 'key' | 'sizeBytes'> {
  readonly source: string
  readonly startUs: bigint
  readonly endUs: bigint
}

interface Waiting {
  readonly objects: number
  readonly bytes: number
  readonly after: string
}

/** More than this, as stored, is a reason to look at memory and disk. */
const warnedBytes = 1024 ** 3

/**
 * Months beside days: a month is read when its first day is, and its rows wait for the days (S7). An object is waited
 * for by those of its rows that lie after the least of what the sources have reached.
 */
function judgePeriodsApart(sources: readonly SeenSource[]): readonly Finding[] {
  const placed = sources.map(placedOf)
  if (new Set(placed.map(unitOf)).size < 2 || placed.some(objects => objects.length === 0)) return []
  const { objects, bytes, after } = mostWaiting(placed)
  return [
    about('state')(
      bytes > warnedBytes ? 'warning' : 'ok',
      `sources ${sources.map(({ definition }) => definition.settings.name).join(', ')} have keys of different ` +
        `periods, so a backfill holds rows of a long one until the short ones have come as far: of ` +
        `${showCounted(objects, 'object')} at most, ${showBytes(bytes)} as they are stored, when it has read ` +
        `'${after}'. inspect tells the rows`,
    ),
  ]
}

function placedOf({ definition: { settings }, versions }: SeenSource): readonly Placed[] {
  const { bounds, name } = settings
  if (bounds?.is !== 'key') return []
  const periodOf = keyPeriod(bounds.pattern, 'bounds')
  return versions.flatMap(({ key, sizeBytes }) => {
    const period = periodOf(key)
    return period ? [{ source: name, key, sizeBytes, ...period }] : []
  })
}

/** Of the longest period: 'hour' to 'year'. Months differ in days, and are all months. */
function unitOf(objects: readonly Placed[]): string {
  const hours = objects.map(({ startUs, endUs }) => Number((endUs - startUs) / 3_600_000_000n))
  const most = hours.reduce((a, b) => Math.max(a, b), 0)
  return most > 24 * 31 ? 'year' : most > 24 ? 'month' : most > 1 ? 'day' : 'hour'
}

/** The order of a backfill, walked: what is read and reaches beyond the source that is least far. */
function mostWaiting(placed: readonly (readonly Placed[])[]): Waiting {
  const order = placed.flat().toSorted((a, b) => compare(a.startUs, b.startUs) || compare(a.key, b.key))
  const lanes = new Map(placed.map(([first]) => [first?.source ?? '', emptyLane()]))
  let [objects, bytes] = [0, 0]
  let most: Waiting = { objects, bytes, after: '' }
  for (const object of order) {
    const lane = lanes.get(object.source) as Lane
    lane.waiting.push(object)
    if (lane.reachedUs === undefined || lane.reachedUs < object.endUs) lane.reachedUs = object.endUs
    objects++
    bytes += object.sizeBytes
    const least = leastReached([...lanes.values()])
    for (const { waiting } of least === undefined ? [] : lanes.values())
      while (waiting[0] && waiting[0].endUs <= (least as bigint)) {
        objects--
        bytes -= waiting.shift()?.sizeBytes ?? 0
      }
    if (bytes > most.bytes) most = { objects, bytes, after: object.key }
  }
  return most
}

/** Of a source: what is read and waits, and how far it has come. */
interface Lane {
  readonly waiting: Placed[]
  reachedUs: bigint | undefined
}

function emptyLane(): Lane {
  return { waiting: [], reachedUs: undefined }
}

/** Undefined while a source has come nowhere. */
function leastReached(lanes: readonly Lane[]): bigint | undefined {
  let least: bigint | undefined
  for (const { reachedUs } of lanes) {
    if (reachedUs === undefined) return undefined
    if (least === undefined || reachedUs < least) least = reachedUs
  }
  return least
}

function compare<T>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0
}
