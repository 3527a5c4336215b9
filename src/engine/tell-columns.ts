import type { OpenSource } from './intake/source.ts'
import type { Run } from './open-run.ts'
import { type ColumnsSeen, goneFields } from './read/columns-seen.ts'
import { nullColumns } from './read/never-seen.ts'

/** An optional field may be missing in some rows: columns without a value are told after so many, or at the end. */
const rowsTold = 1_000

/** Tells of columns of a source that have no value, or none any more. */
export interface ColumnsTeller {
  /** After a commit. */
  look(): void
  /** At the end. */
  end(): void
}

/** @param seenOf which columns the objects of a source have had */
export function createColumnsTeller(
  { sources, onEvent }: Pick<Run, 'sources' | 'onEvent'>,
  seenOf: (source: string) => ColumnsSeen | null,
): ColumnsTeller {
  const all = [...sources.values()].map(source => createTeller({ source, onEvent }, seenOf))
  return {
    look() {
      for (const one of all) one.look()
    },
    end() {
      for (const one of all) one.end()
    },
  }
}

function createTeller(
  { source, onEvent }: Pick<Run, 'onEvent'> & { readonly source: OpenSource },
  seenOf: (source: string) => ColumnsSeen | null,
): ColumnsTeller {
  const { neverSeen, settings } = source.fetch
  let isNullTold = false
  /** By field, the object from which on it was told to be gone. */
  const goneTold = new Map<string, string>()
  function tellNull(): void {
    const columns = nullColumns(neverSeen)
    if (!isNullTold && columns.length > 0)
      onEvent({ is: 'null-columns', source: settings.name, columns, rows: neverSeen.rows })
    isNullTold = true
  }
  return {
    look() {
      if (neverSeen.rows >= rowsTold) tellNull()
      for (const field of goneFields(seenOf(settings.name))) {
        if (field.rows < rowsTold || goneTold.get(field.column) === field.since) continue
        goneTold.set(field.column, field.since)
        onEvent({ is: 'gone-field', source: settings.name, field })
      }
    },
    end: tellNull,
  }
}
