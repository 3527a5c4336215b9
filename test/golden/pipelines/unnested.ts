import { aggregate, collect, count, derive, files, groupBy, pipeline, sum, to, tumbling, unnest } from 'millrace'
import { trips } from './months.ts'

export default pipeline(
  'unnested',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    derive({ parts: ['DECIMAL(18,2)[]', '[total_amount, passenger_count, NULL]'] }),
    unnest('parts', { as: 'part', position: 'place' }),
    tumbling('6 hours'),
    groupBy('place'),
    aggregate({ rows: count(), amount: sum('part'), zones: collect('PULocationID', { max: 5 }) }),
    unnest('zones', { as: 'zone', position: 'nth' }),
    to(files('./output/', { format: 'parquet' })),
  ),
)
