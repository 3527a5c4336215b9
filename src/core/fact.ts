/** What a server says of its own configuration, where it says anything. */
export type Fact<T> =
  | { readonly is: 'known'; readonly value: T }
  /** This identity may not ask: it needs this permission. */
  | { readonly is: 'denied'; readonly action: string }
  /** The server has no such thing, or did not answer. */
  | { readonly is: 'unavailable'; readonly why: string }
