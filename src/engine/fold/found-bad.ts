import { isMillraceError } from '../../core/errors.ts'
import { type OpenSource, sourceOf } from '../intake/source.ts'
import { badObject, goneBecause, goneObject, type MarkedObject, reasonOf } from '../read/marked-object.ts'
import { goneInReplay } from './mark-batch.ts'
import { diagnose, type Partials, type SourcesSettings } from './partials.ts'
import type { MarkedEntry, Stamped } from './stamp.ts'
import type { EpochContext } from './work.ts'

/** The objects of a batch that turned out bad after they were marked, with the reason. */
export async function foundBad(
  epoch: EpochContext,
  sources: SourcesSettings,
  stamped: Stamped,
  partials: Promise<Partials>,
): Promise<ReadonlyMap<MarkedObject, string>> {
  const bad = new Map<MarkedObject, string>()
  try {
    await partials
  } catch (error) {
    if (isMillraceError(error)) throw error
    for (const [{ marked }, cause] of await diagnose(epoch, stamped, sources, error))
      bad.set(marked, reasonOf(cause, marked.version.key))
    return bad
  }
  for (const { marked } of stamped.objects)
    if (marked.isChanged && (await marked.isChanged())) bad.set(marked, goneBecause.writtenTo)
  return bad
}

/**
 * The same entries, those of bad objects as what becomes of them now.
 *
 * @param isReplay what was read then must be there still
 */
export async function settleBad(
  {
    sources,
    isReplay,
  }: { readonly sources: ReadonlyMap<string, Pick<OpenSource, 'fetch'>>; readonly isReplay: boolean },
  entries: readonly MarkedEntry[],
  bad: ReadonlyMap<MarkedObject, string>,
): Promise<readonly MarkedEntry[]> {
  const settled: MarkedEntry[] = []
  for (const entry of entries) {
    const reason = entry.is === 'object' ? bad.get(entry) : undefined
    if (entry.is !== 'object' || reason === undefined) settled.push(entry)
    else {
      await entry.release()
      if (isReplay) throw goneInReplay(entry.version, reason)
      const settle = reason === goneBecause.writtenTo ? goneObject : badObject
      settled.push(settle(sourceOf(sources, entry.source).fetch, entry.version, reason))
    }
  }
  return settled
}
