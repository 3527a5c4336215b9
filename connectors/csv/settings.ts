/** How CSV text is written, as plain data. */
export interface CsvSettings {
  /** Whether the first record names the columns. Without, they are the declared ones, in their order. */
  readonly header: boolean
  /** One character. */
  readonly delimiter: string
  /** One character, or empty: nothing is quoted. */
  readonly quote: string
  /** The character before a quote that is meant: the quote itself, or another such as a backslash. */
  readonly escape: string
  /** What stands for NULL where it is not quoted. */
  readonly nullText: string
}
