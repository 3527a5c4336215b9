import {
  aggregate,
  count,
  derive,
  files,
  groupBy,
  hopping,
  late,
  pipeline,
  quarantine,
  select,
  to,
  union,
} from 'millrace'
import { trips } from './months.ts'

// --output names one sink, so a pipeline with two takes its folders from the environment.
const folder = (name: string): string => process.env[name] ?? `./${name}/`

const shares = trips.pipe(hopping('1 hour', '30 minutes'), groupBy('PULocationID'), aggregate({ trips: count() }))

/** What came too late and what could not be read, in one place. */
const aside = union(
  late(shares).pipe(
    derive({ at: ['VARCHAR', 'late_object'], row: ['BIGINT', 'late_row'], why: ['VARCHAR', 'late_window_end'] }),
    select('at', 'row', 'why', 'PULocationID'),
  ),
  quarantine(trips).pipe(
    derive({ at: ['VARCHAR', 'object'], row: ['BIGINT', 'row_number'], why: ['VARCHAR', 'coalesce(found, reason)'] }),
    select('at', 'row', 'why'),
  ),
)

export default pipeline(
  'set-aside',
  { checkpoint: './checkpoint/' },
  aside.pipe(to(files(folder('GOLDEN_ASIDE'), { format: 'json' }))),
  shares.pipe(to(files(folder('GOLDEN_SHARES'), { format: 'parquet' }))),
)
