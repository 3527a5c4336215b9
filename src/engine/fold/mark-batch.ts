import { MillraceError } from '../../core/errors.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { Admitted, AdmittedObject } from '../intake/admit.ts'
import type { Care } from '../intake/attempt.ts'
import { type OpenSource, sourceOf } from '../intake/source.ts'
import type { Fetch, SourceWanted } from '../read/fetch.ts'
import { badObject, goneBecause, goneObject, overwritten, recorded, unread } from '../read/marked-object.ts'
import type { MarkedEntry } from './stamp.ts'

export interface MarkingContext {
  readonly sources: ReadonlyMap<string, Pick<OpenSource, 'fetch'>>
  readonly care: Pick<Care, 'setAside'>
  readonly fetch: Fetch
}

/**
 * Entries of a mini-batch from its first on, and those that are left for the next one: objects may be larger than
 * announced.
 */
export interface MarkedBatch {
  readonly marked: readonly MarkedEntry[]
  readonly left: readonly Admitted[]
}

/** Looks at the objects of a mini-batch, but for those of which is known already what becomes of them. */
export async function markBatch(context: MarkingContext, batch: readonly Admitted[]): Promise<MarkedBatch> {
  const { entries: known, refused } = knownEntries(context, batch)
  const wanted = batch
    .slice(0, known.length)
    .flatMap((entry, index) => (entry.is === 'object' && known[index] === undefined ? [{ ...entry, index }] : []))
  const { marked, left } = await context.fetch(wanted.map(wantedIn))
  const entries = [...known]
  for (const [at, object] of marked.entries()) {
    const { index, known: before } = wanted[at] as (typeof wanted)[number]
    if (before && object.outcome !== 'read') throw goneInReplay(object.version, object.reason)
    entries[index] = before ? { ...object, highMarkUs: before.highMarkUs } : object
  }
  const end = wanted[marked.length]?.index
  if (end === undefined) {
    if (refused) throw refused.error
    return { marked: entries as readonly MarkedEntry[], left: [] }
  }
  const sizes = new Map(left.map(({ sizeBytes }, at) => [wanted[marked.length + at]?.index, sizeBytes]))
  return {
    marked: entries.slice(0, end) as readonly MarkedEntry[],
    left: batch.slice(end).map((entry, at) => {
      const sizeBytes = sizes.get(end + at)
      return entry.is === 'object' && sizeBytes !== undefined ? { ...entry, sizeBytes } : entry
    }),
  }
}

/** Entries up to the first that stops the run; undefined where an object is to be fetched. */
interface KnownEntries {
  readonly entries: readonly (MarkedEntry | undefined)[]
  /** What comes before it in the ledger is looked at first: of several that stop the run, the first is named. */
  readonly refused?: { readonly error: unknown }
}

function knownEntries(context: MarkingContext, batch: readonly Admitted[]): KnownEntries {
  const entries: (MarkedEntry | undefined)[] = []
  for (const entry of batch) {
    try {
      entries.push(knownEntry(context, entry))
    } catch (error) {
      return { entries, refused: { error } }
    }
  }
  return { entries }
}

/** What is known of an entry without a look at its object; undefined where it is to be fetched. */
function knownEntry({ sources, care }: MarkingContext, entry: Admitted): MarkedEntry | undefined {
  if (entry.is !== 'object') return entry
  const { known, overwrites, source: name } = entry
  const { source: _, ...wanted } = wantedIn(entry)
  const version = recorded(wanted)
  const { fetch } = sourceOf(sources, name)
  if (known?.outcome === 'gone') return goneObject(fetch, version, known.reason ?? goneBecause.missing)
  if (known && known.outcome !== 'read') return unread(name, version, known.outcome, known.reason)
  const deadly = care.setAside(entry)
  if (deadly !== undefined) return unread(name, version, deadly.outcome, deadly.reason)
  if (overwrites && fetch.policies.overwrite === 'quarantine') return badObject(fetch, version, overwritten)
  return undefined
}

/** The version with its source, as the store is asked for it. */
function wantedIn({
  is: _is,
  overwrites: _overwrites,
  earlier: _earlier,
  again: _again,
  known: _known,
  ...wanted
}: AdmittedObject): SourceWanted {
  return wanted
}

/** A replay takes outcomes from the ledger: what was read then must be there still. */
export function goneInReplay({ key }: ObjectVersion, reason: string | null): MillraceError {
  return new MillraceError(
    'fatal',
    'replay-object',
    `object '${key}' was read when the ledger was written, and now: ${reason ?? 'it cannot be read'}. ` +
      'Bring that version back; without it the ledger cannot be replayed.',
  )
}
