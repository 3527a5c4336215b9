/** Where rows go, as plain data; `files(...)` makes one. `C` is what it asks of the columns. */
export interface Sink<in C = never> {
  readonly sink: 'files'
  readonly uri: string
  readonly format: 'parquet' | 'json'
  /** How JSON tells the zone of times; absent: not at all. */
  readonly zone?: 'Z'
  /** Never called: carries what the sink asks of the columns. */
  readonly takes?: (columns: C) => void
}
