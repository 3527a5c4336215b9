/** What an error's code stands for, in words for a person who meets it for the first time. */
export interface ErrorHelp {
  /** What has happened. */
  readonly means: string
  /** What to do about it. */
  readonly todo: string
}
