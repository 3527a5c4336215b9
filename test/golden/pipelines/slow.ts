import { aggregate, count, files, groupBy, hopping, pipeline, to } from 'millrace'
import { trips } from './months.ts'

/** More than a thousand windows a row: an epoch takes a second or more, so that signals meet it in the middle. */
export default pipeline(
  'slow',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    hopping('1 day', '1 minute'),
    groupBy('PULocationID'),
    aggregate({ trips: count() }),
    to(files('./output/', { format: 'parquet' })),
  ),
)
