/** A whole backfill that is small enough to be run hundreds of times in one process, over stores of the test's choice. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileSystem } from '../../connectors/directory/file-system.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { Duration } from '../../src/core/duration.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  max,
  parquet,
  pipeline,
  session,
  source,
  type Summary,
  sum,
  to,
  tumbling,
  where,
} from '../../src/index.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { wholeFromEnvironment } from '../golden/drawn.ts'
import type { Place } from '../golden/seen.ts'

export interface SmallBackfill extends AsyncDisposable {
  readonly lab: Lab
  place(): Place
  /** One process from its start to its end. */
  run(place: Place, open: (root: string) => ObjectStore, onEpoch?: (epoch: number) => void): Promise<Summary>
}

/** Objects and so epochs before the flush. */
export const objects = 3

export interface Shape {
  /** Rows of each day's object. */
  readonly days?: readonly number[]
  readonly window?: Duration
  /** Sessions instead of windows. */
  readonly gap?: Duration
}

/**
 * Two flows over three days. Segments, late rows and output are files in one epoch and ride inline in HEAD in another:
 * keys are hashes, which no codec shortens, and the second day has few of them.
 */
export async function openSmallBackfill({
  days = [1200, 40, 900],
  window = '8 hours',
  gap,
}: Shape = {}): Promise<SmallBackfill> {
  const lab = await openLab()
  for (const [day, rows] of days.entries())
    await lab.parquet(
      `day_2024-05-${String(day + 1).padStart(2, '0')}.parquet`,
      `SELECT TIMESTAMP '2024-05-01' + to_days(${day}) + to_seconds(i * 977 % 86400)
          - CASE WHEN i % 50 = 49 THEN INTERVAL 60 HOUR ELSE INTERVAL 0 HOUR END AS t,
        md5(concat(${day}, '-', i)) AS k, i AS n FROM range(${rows}) AS r(i)`,
    )
  let places = 0
  return {
    lab,
    place() {
      const folder = join(lab.root, `place-${++places}`)
      return { checkpoint: join(folder, 'checkpoint'), outputs: [join(folder, 'windows'), join(folder, 'rows')] }
    },
    run(place, open, onEpoch = () => {}) {
      const rows = source('days', {
        objects: lab.input,
        format: parquet(),
        columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', n: 'BIGINT' },
        time: 't',
        watermark: { delay: '15 hours', bounds: 'day_{yyyy}-{MM}-{dd}' },
      })
      const [windows, odd] = place.outputs as [string, string]
      const small = pipeline(
        'small',
        { checkpoint: place.checkpoint },
        rows.pipe(
          gap === undefined ? tumbling(window) : session(gap),
          groupBy('k'),
          aggregate({ rows: count(), total: sum('n'), last: max('t') }),
          to(files(windows, { format: 'parquet' })),
        ),
        rows.pipe(where('n % 3 <> 1'), to(files(odd, { format: 'json' }))),
      )
      const opened = {
        ...components,
        openWritable: async (root: string) => {
          await mkdir(root, { recursive: true })
          return open(root)
        },
      }
      return backfillWith(opened, small, { objectsPerEpoch: 1, threads: 1, memory: '300MB' }, ({ epoch }) =>
        onEpoch(epoch),
      )
    },
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  }
}

/** Directory stores over this file system: those of one process. */
export function over(fs: FileSystem): (root: string) => ObjectStore {
  return root => createDirectoryStore(root, { fs })
}

/** The probe of the stores (P4) makes half of the calls, all on keys of its own. */
export function isProbe(path: string): boolean {
  return /(^|[/\\])probe([/\\]|$)/.test(path)
}

/** Every so many calls, from a random one on: a whole run of hundreds of calls takes minutes. MILLRACE_STRIDE=1 is all. */
export function everyCall(calls: number, stride: number, random: () => number): number[] {
  const step = wholeFromEnvironment('MILLRACE_STRIDE', stride)
  const first = 1 + Math.floor(random() * step)
  return Array.from({ length: Math.max(0, Math.ceil((calls - first + 1) / step)) }, (_, i) => first + i * step)
}
