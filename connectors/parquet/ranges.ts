import type { Needed } from '../../src/plan/format.ts'
import { footerStart, readFooter } from './footer.ts'
import { namesRead } from '../../src/plan/find-column.ts'

/**
 * Plans a ranged read of a Parquet object: its footer, the chunks of the declared columns and their Bloom filters.
 * Page indexes are left out, as DuckDB reads none. Pure; the method is hyparquet's.
 *
 * @param tail the object's last bytes
 */
export function neededRanges(tail: Uint8Array, sizeBytes: number, declared: readonly string[]): Needed {
  try {
    const start = footerStart(tail, sizeBytes)
    if (start === undefined) return { is: 'ranges', ranges: [] }
    const tailStart = sizeBytes - tail.length
    if (start < tailStart) return { is: 'more', start }
    const footer = readFooter(tail.subarray(start - tailStart), start)
    const wanted = namesRead(declared, footer.columns)
    const ranges = footer.chunks
      .filter(({ column }) => wanted.has(column))
      .flatMap(({ start: from, end, bloomFilter }) => [[from, end] as const, ...(bloomFilter ? [bloomFilter] : [])])
    return { is: 'ranges', ranges }
  } catch {
    // The check of the spooled file finds the same in its footer and says what it is.
    return { is: 'ranges', ranges: [] }
  }
}
