import { aggregate, count, files, groupBy, json, pipeline, source, sum, to, tumbling, where } from 'millrace'

/** Late rows are applied: an hour's correction goes on to its day. What was asked for waits, or is an entry of the ledger. */
const events = source('events', {
  objects: './input/',
  format: json(),
  columns: { at: 'TIMESTAMPTZ NOT NULL', kind: 'VARCHAR', amount: 'DOUBLE' },
  time: 'at',
  watermark: { delay: '30 minutes' },
  onBadRow: 'quarantine',
  late: { retention: '30 days' },
})

const [hourly = './hours/', quarters = './quarters/'] = [process.env['CORPUS_HOURS'], process.env['CORPUS_QUARTERS']]
const hours = events.pipe(tumbling('1 hour'), groupBy('kind'), aggregate({ n: count(), total: sum('amount') }))

export default pipeline(
  'late-hours',
  { checkpoint: './checkpoint/' },
  hours.pipe(where('n % 5 <> 0'), to(files(hourly, { format: 'json' }))),
  hours.pipe(
    tumbling('4 hours'),
    groupBy('kind'),
    aggregate({ hours: count(), n: sum('n'), total: sum('total') }),
    to(files(quarters, { format: 'json' })),
  ),
)
