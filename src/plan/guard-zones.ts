import { text } from './sql.ts'
import { filled, type Tree, zoned } from './trees.ts'

/** A time with no letter but the T before its hours, Z, UTC or GMT after them, and BC: with no name of a zone. */
const unnamedZone = '(?i)[^a-z]*(\\(bc\\)[^a-z]*)?(t[^a-z]*)?(([0-9.]z|utc|gmt)\\s*)?|[^a-z]*(infinity|epoch)\\s*'

/** Whether texts are cast. DuckDB knows it when it binds, and of the guard around other values nothing is left. */
const isText = (value: string) => `regexp_matches(typeof(${value}), '\\b(VARCHAR|ENUM)\\b')`

/**
 * A cast to TIMESTAMPTZ that no text with the name of a zone reaches, such as '2024-07-01 02:30:00 Europe/Berlin'.
 * DuckDB 1.5 would read the texts after it in its vector in that zone, and a value would be no function of its row
 * (S24).
 *
 * @param value SQL of what is cast, written out several times
 * @param cast SQL of the cast itself
 * @param isTry such a text gives NULL, else an error
 */
export function guardZones(value: string, cast: string, isTry: boolean): string {
  const advice = text("' (the name of a zone is read by strptime(text, '%Y-%m-%d %H:%M:%S %Z') only)")
  // A cast that fails may stand inside TRY(...); `error(...)`, which is volatile, may not.
  const failing = `CAST('''' || left(CAST(${value} AS VARCHAR), 100) || ${advice} AS TIMESTAMPTZ)`
  const isNamed = `${isText(value)} AND NOT regexp_full_match(CAST(${value} AS VARCHAR), ${text(unnamedZone)})`
  return `CASE WHEN ${isNamed} THEN ${isTry ? 'NULL' : failing} ELSE ${cast} END`
}

/**
 * The same where TIMESTAMPTZ lies inside the type, as in a list: no text may lie in what is cast. JSON may, as DuckDB
 * takes no zone's name there.
 *
 * @param failing SQL of a cast of `textsInside` to the type
 */
export function guardZonesInside(value: string, cast: string, failing: string): string {
  return `CASE WHEN ${isText(value)} THEN ${failing} ELSE ${cast} END`
}

/** What a cast of texts inside something else fails with. */
export const textsInside =
  'texts in a list, struct or map; cast each text by itself, as in ' +
  'list_transform(texts, lambda x: CAST(x AS TIMESTAMPTZ)), or read JSON with from_json(...)'

/** Whether a parsed type is TIMESTAMPTZ or has one inside. */
export function isZoned(type: Tree): boolean {
  const info = (type.type_info ?? {}) as Tree
  const fields = (info.child_types ?? []) as readonly { readonly second: Tree }[]
  const inner = [info.child_type, ...fields.map(({ second }) => second)]
  return type.id === zoned || inner.some(child => child && isZoned(child as Tree))
}

/** Puts a guard around a parsed cast of this value. */
export type CastGuards = (cast: Tree, value: Tree) => Tree

/** @param parse DuckDB's tree of an expression */
export async function createCastGuards(parse: (sql: string) => Promise<Tree>): Promise<CastGuards> {
  const [value, cast, failing] = ['"value"', '"cast"', '"failing"']
  const plain = await parse(guardZones(value, cast, false))
  const tried = await parse(guardZones(value, cast, true))
  const inside = await parse(guardZonesInside(value, cast, failing))
  const message = await parse(text(textsInside))
  return (node, walked) => {
    const guard = (node.cast_type as Tree).id !== zoned ? inside : node.try_cast === true ? tried : plain
    const failed = { ...node, child: message, try_cast: false }
    return filled(guard, { value: walked, cast: { ...node, child: walked }, failing: failed })
  }
}
