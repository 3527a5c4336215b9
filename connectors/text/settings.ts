/** How lines of text become columns, as plain data. */
export interface TextSettings {
  /** An RE2 expression that the whole line has to fit. */
  readonly pattern: string
  /** All of its groups in their order; null for one without a name. */
  readonly groups: readonly (string | null)[]
  /** What stands for NULL, beside empty text. */
  readonly nullText: string
  /** By group: how its text is a time, as strptime writes it, or as a number since 1970. */
  readonly times: Readonly<Record<string, string>>
  /** What lines that are no rows begin with; empty: there are none. */
  readonly comment: string
  /** So many lines at the beginning of an object are no rows. */
  readonly headerLines: number
}
