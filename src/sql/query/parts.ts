import type { Token } from '../tokens.ts'

// A query as it is written, taken apart. Expressions are tokens: DuckDB parses them.

/** One query, with those that it names before it. Several blocks are a union. */
export interface Query {
  readonly named: readonly { readonly name: Token; readonly query: Query }[]
  readonly blocks: readonly (Block | Query)[]
  readonly at: number
}

/** One SELECT. */
export interface Block {
  readonly at: number
  readonly items: readonly Item[]
  readonly from: From
  readonly where?: Clause
  readonly groupBy?: { readonly at: number; readonly items: readonly (readonly Token[])[] | 'all' }
  readonly having?: Clause
  readonly qualify?: Clause
}

/** An expression behind a word of SQL. */
export interface Clause {
  readonly at: number
  readonly tokens: readonly Token[]
}

/** One of what SELECT names. */
export interface Item {
  readonly tokens: readonly Token[]
  readonly alias?: string
}

/** What rows come from: the first, and those that are joined with it. */
export interface From {
  readonly first: Relation
  readonly joins: readonly Join[]
}

export type JoinWord = 'inner' | 'left' | 'right' | 'full' | 'semi' | 'anti'

export interface Join {
  readonly kind: JoinWord
  readonly right: Relation
  readonly on: { readonly is: 'on' | 'using'; readonly tokens: readonly Token[] }
  readonly at: number
}

export type Relation = { readonly alias?: Token; readonly at: number } & (
  | { readonly is: 'name'; readonly name: Token }
  | { readonly is: 'query'; readonly query: Query }
  | Call
)

/** `TUMBLE(trips, INTERVAL '1 hour')` */
export interface Call {
  readonly is: 'call'
  readonly name: Token
  /** The first argument: the rows. */
  readonly of: Relation
  readonly more: readonly Argument[]
  /** The closing bracket. */
  readonly end: Token
}

export interface Argument {
  /** Of `name := value`. */
  readonly name?: Token
  readonly tokens: readonly Token[]
}

export function isBlock(part: Block | Query): part is Block {
  return 'items' in part
}
