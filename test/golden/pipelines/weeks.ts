import { aggregate, calendar, count, countDistinct, files, groupBy, pipeline, to } from 'millrace'
import { trips } from './months.ts'

/** Weeks of a zone whose clocks change within the months, one of them with an hour less; distinct values lie in a finer grain. */
export default pipeline(
  'weeks',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    calendar('week', { timeZone: 'America/New_York', weekStartsOn: 'sunday' }),
    groupBy('PULocationID'),
    aggregate({ trips: count(), counts: countDistinct('passenger_count') }),
    to(files('./output/', { format: 'json' })),
  ),
)
