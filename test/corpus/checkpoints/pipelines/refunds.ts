import { derive, files, pipeline, select, to, where } from 'millrace'
import { trips } from './months.ts'

/** No state: every epoch's output is its own rows. */
export default pipeline(
  'refunds',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    where('total_amount < 8'),
    derive({ refunded: ['DECIMAL(18,2)', '-total_amount'] }),
    select('lpep_pickup_datetime', 'PULocationID', 'refunded'),
    to(files('./output/', { format: 'json' })),
  ),
)
