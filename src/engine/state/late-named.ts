import type { Json } from '../../core/json.ts'

/**
 * What `apply-late` asked for: HEAD keeps it until the commit that does it, and then it is an entry of the ledger. It
 * names rows by what the late ledger says of them, so it is small however many they are.
 */
export interface LateNamed {
  /** Rows of entries before this one. */
  readonly beforeSeq: number
  /** Of windows that begin at this time or later; null: at any. */
  readonly fromUs: bigint | null
  /** Of windows that end by this time; null: at any. */
  readonly toUs: bigint | null
}

export function lateNamedJson({ beforeSeq, fromUs, toUs }: LateNamed): { readonly [key: string]: Json } {
  return { beforeSeq, fromUs: fromUs?.toString() ?? null, toUs: toUs?.toString() ?? null }
}

export function lateNamedFrom(json: Json): LateNamed {
  const { beforeSeq, fromUs, toUs } = json as unknown as ReturnType<typeof lateNamedJson>
  const time = (us: Json | undefined) => (typeof us === 'string' ? BigInt(us) : null)
  return { beforeSeq: Number(beforeSeq), fromUs: time(fromUs), toUs: time(toUs) }
}

/** What is asked of the late rows of one step. */
export interface LateQuestion {
  readonly named: LateNamed
  /** What earlier entries name. */
  readonly earlier: readonly LateNamed[]
  readonly retentionUs: bigint
  /** The step's watermark before the entry. */
  readonly watermarkUs: bigint
}

/**
 * SQL over a late row, which is one of a row and a window: what becomes of it by the entry. The first entry that names
 * it takes it, if the window's state is still there (S16). That needs no memory of what was taken: the state was there
 * for every earlier entry as well.
 */
export function fateSql({ named, earlier, retentionUs, watermarkUs }: LateQuestion): string {
  const isTaken = earlier.length === 0 ? 'FALSE' : earlier.map(isNamed).join(' OR ')
  return (
    `CASE WHEN NOT ${isNamed(named)} THEN 'elsewhere' WHEN _window_end + ${retentionUs} <= ${watermarkUs} ` +
    `THEN 'expired' WHEN ${isTaken} THEN 'applied' ELSE 'taken' END`
  )
}

/** What may become of a late row. `applied`: by an earlier entry. */
export type LateFate = 'elsewhere' | 'expired' | 'applied' | 'taken'

function isNamed({ beforeSeq, fromUs, toUs }: LateNamed): string {
  const all = [
    `_seq < ${beforeSeq}`,
    ...(fromUs === null ? [] : [`_window_start >= ${fromUs}`]),
    ...(toUs === null ? [] : [`_window_end <= ${toUs}`]),
  ]
  return `(${all.join(' AND ')})`
}
