import { aggregate, count, files, groupBy, pipeline, sum, to, tumbling, where } from 'millrace'
import { trips } from './months.ts'

// --output names one sink, so a pipeline with two takes its folders from the environment.
const folder = (name: string): string => process.env[name] ?? `./${name}/`

export default pipeline(
  'two-flows',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    tumbling('6 hours'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    to(files(folder('CORPUS_ZONES'), { format: 'parquet' })),
  ),
  trips.pipe(where('total_amount <= 0'), to(files(folder('CORPUS_REFUNDS'), { format: 'json' }))),
)
