/**
 * A source as plain data: the options of every plan's first node. What the format's call made stands under the format's
 * name.
 */
export interface SourceSettings {
  readonly name: string
  readonly format: string
  /** Column name to declared type, canonical, with ' NOT NULL' where declared; the one of `rescue` as well, last. */
  readonly columns: Readonly<Record<string, string>>
  /** Column name to what stands where an object lacks it: the text of the literal, null for NULL. */
  readonly defaults?: Readonly<Record<string, string | null>>
  /** Column name to the object's name of it, where that is another one. */
  readonly from?: Readonly<Record<string, string>>
  /** Column name to what gives it instead of the object's rows. */
  readonly facts?: Readonly<Record<string, 'key' | 'meta'>>
  /** Where keys have the values of columns FROM KEY that are in no folder `name=value`. */
  readonly keyPattern?: string
  /** Name of the column that has what did not fit its declared type. */
  readonly rescue?: string
  /** Column of the event time; absent: rows have none, so nothing that keeps state can follow. */
  readonly time?: string
  /** Microseconds as text; absent: no watermark but by flush. */
  readonly delayUs?: string
  readonly bounds?: Bounds
  /** Absent: the maximum. */
  readonly mark?: { readonly quantile: number }
  /** So long after its end late rows can be applied to a window. Absent: they stay late. */
  readonly late?: { readonly retentionUs: string }
}

/** What the format's call made; empty where nothing was asked for. */
export function formatSettings(settings: SourceSettings): object {
  return (settings as unknown as Readonly<Record<string, object | undefined>>)[settings.format] ?? {}
}

/**
 * What happens to what is not as it should be. No part of the plan: outcomes are entries of the ledger, so a policy may
 * change between runs and holds for what comes.
 */
export interface SourcePolicies {
  readonly onBadRow: 'fail' | 'quarantine'
  readonly onBadObject: 'fail' | 'skip' | 'quarantine'
  readonly onDenied: 'fail' | 'skip' | 'quarantine'
  readonly overwrite: 'quarantine' | 'append'
  /** Of JSON: a longer row is a bad one. Absent: the format's own default. */
  readonly rowBytesMax?: number
}

/** Which event times of an object move its high mark (S3). */
export type Bounds =
  | { readonly is: 'key'; readonly pattern: string }
  | { readonly is: 'last-modified'; readonly skewUs: string }
