import {
  aggregate,
  count,
  files,
  groupBy,
  join,
  max,
  pipeline,
  rename,
  select,
  to,
  tumbling,
  union,
  where,
} from 'millrace'
import { trips } from './months.ts'

// --output names one sink, so a pipeline with two takes its folders from the environment.
const folder = (name: string): string => process.env[name] ?? `./${name}/`

const paid = trips.pipe(where('total_amount > 0'), select('PULocationID', 'total_amount'))
const refunds = trips.pipe(
  where('total_amount <= 0'),
  select('PULocationID', 'total_amount'),
  rename({ total_amount: 'refund' }),
)

/** Refunds with what was paid in the same zone not long before, and what was paid, as one: how many of both a day. */
const both = union(
  refunds.pipe(
    join(paid, { on: ['PULocationID'], within: ['-12 hours', '0 seconds'], kind: 'left' }),
    select('PULocationID', 'refund', 'total_amount'),
  ),
  paid,
)

/** Refunds beside what was paid on the same day. */
const daily = refunds.pipe(
  tumbling('1 day'),
  join(paid.pipe(tumbling('1 day')), { on: ['PULocationID'], window: true, kind: 'left' }),
)

export default pipeline(
  'together',
  { checkpoint: './checkpoint/' },
  both.pipe(
    tumbling('1 day'),
    groupBy('PULocationID'),
    aggregate({ rows: count(), refunds: count({ filter: 'refund IS NOT NULL' }), most: max('total_amount') }),
    to(files(folder('GOLDEN_BOTH'), { format: 'parquet' })),
  ),
  daily.pipe(to(files(folder('GOLDEN_DAILY'), { format: 'json' }))),
)
