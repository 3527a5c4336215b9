import type { ParsedType } from '../src/core/types.ts'
import type { Relation } from '../src/plan/relation.ts'

/** A field of an element that becomes a column. */
export interface UnnestedField {
  readonly name: string
  readonly type: ParsedType
  /** The element's name of it. */
  readonly from: string
}

/** What a list, or an array of JSON, becomes. */
export interface Unnesting {
  readonly column: string
  readonly list: ParsedType
  /** Of an element that is one column. */
  readonly as: string
  /** Of an element that is an object; undefined where it is one column. */
  readonly fields: readonly UnnestedField[] | undefined
  readonly rescue: string | undefined
  readonly position: string | undefined
  readonly isOuter: boolean
}

/** The input, and what is asked of it. */
export interface Asked extends Unnesting {
  readonly input: Relation
  /** The visible columns but the list. */
  readonly others: readonly string[]
  /** SQL of all that rides along, by its own name. */
  readonly carried: string
  /** Rows have `_aside`: the text of what is no array, which is kept. */
  readonly hasAside: boolean
}
