import { join } from 'node:path'
import {
  aggregate,
  count,
  files,
  groupBy,
  type Pipeline,
  parquet,
  pipeline,
  source,
  sum,
  to,
  tumbling,
} from '../src/index.ts'

/** Count and sum by day and key, over the Parquet files in `input` of this folder, beside which the rest lies. */
export function perDay(folder: string): Pipeline {
  const events = source('events', {
    objects: join(folder, 'input'),
    format: parquet(),
    columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT', v: 'DOUBLE' },
    time: 't',
    watermark: { delay: '1 hour' },
  })
  return pipeline(
    'per-day',
    { checkpoint: join(folder, 'checkpoint') },
    events.pipe(
      tumbling('1 day'),
      groupBy('k'),
      aggregate({ n: count(), total: sum('v') }),
      to(files(join(folder, 'output'), { format: 'parquet' })),
    ),
  )
}
