import {
  aggregate,
  count,
  files,
  groupBy,
  join,
  json,
  pipeline,
  rename,
  select,
  source,
  sum,
  to,
  tumbling,
  union,
  where,
} from 'millrace'

/** Two sources over one folder, which meet in a union and in a join: state of several channels, a clock of two watermarks. */
const read = (name: string, delay: '30 minutes' | '1 hour') =>
  source(name, {
    objects: './input/',
    format: json(),
    columns: { at: 'TIMESTAMPTZ NOT NULL', kind: 'VARCHAR', amount: 'DOUBLE' },
    time: 'at',
    watermark: { delay },
    onBadRow: 'quarantine',
  })
const events = read('events', '30 minutes')
const again = read('again', '1 hour')
const [hourly = './hourly/', pairs = './pairs/'] = [process.env['CORPUS_HOURLY'], process.env['CORPUS_PAIRS']]

export default pipeline(
  'meeting-sources',
  { checkpoint: './checkpoint/' },
  union(events, again).pipe(
    tumbling('1 hour'),
    groupBy('kind'),
    aggregate({ n: count(), total: sum('amount') }),
    to(files(hourly, { format: 'json' })),
  ),
  events.pipe(
    where("kind = 'view'"),
    select('at', 'amount'),
    join(again.pipe(where("kind = 'buy'"), select('amount'), rename({ amount: 'bought' })), {
      on: { amount: 'bought' },
      within: ['-10 minutes', '90 minutes'],
      kind: 'left',
    }),
    to(files(pairs, { format: 'json' })),
  ),
)
