import type { ObjectVersion } from '../../core/object-version.ts'
import type { OwnColumn } from '../../plan/find-column.ts'
import type { MarkedObject } from './marked-object.ts'

/** An object whose text lies in the spool, ready for DuckDB. */
export interface SpooledVersion {
  readonly version: ObjectVersion
  /** The file that DuckDB reads. */
  readonly file: string
  /** The object's own columns. Absent where it has a field by any name that is declared. */
  readonly columns?: readonly OwnColumn[]
  /** As `ready` of its format has shown. */
  readonly provenFields?: readonly string[]
  /** The same object as it is to be read where some of its rows are broken; present where it was made ready quickly. */
  again?(): Promise<SpooledVersion | MarkedObject>
  /** Gives its files back. */
  discard(): Promise<void>
  /** Whether the file, a hard link, was written to since it was made ready. */
  isChanged?(): Promise<boolean>
}

/** An object that was made ready quickly and has bad rows: what they are `again` has to tell. */
export interface DoubtfulObject {
  readonly is: 'doubtful'
  again(): Promise<SpooledVersion | MarkedObject>
}
