// What the page of operators shows. Every example is a flow over the sources of `prelude`, and is run.

export const prelude = `const trips = source('trips', {
  objects: 'trips',
  format: json(),
  columns: { at: 'TIMESTAMP NOT NULL', id: 'BIGINT', zone: 'VARCHAR', fare: 'DECIMAL(18,2)', tags: 'VARCHAR[]' },
  time: 'at',
  watermark: { delay: '10 minutes' },
  onBadRow: 'quarantine',
})
const tips = source('tips', {
  objects: 'tips',
  format: json(),
  columns: { paid: 'TIMESTAMP NOT NULL', trip: 'BIGINT', tip: 'DECIMAL(18,2)' },
  time: 'paid',
  watermark: { delay: '10 minutes' },
})
const zones = lookup('zones', {
  objects: 'zones.csv',
  format: csv(),
  columns: { zone: 'VARCHAR NOT NULL', borough: 'VARCHAR' },
  key: ['zone'],
})
`

/** Files of the examples, by their paths. */
export const files: Readonly<Record<string, string>> = {
  'trips/a.jsonl': `{"at":"2024-03-01 08:10:00","id":1,"zone":"harbour","fare":9.50,"tags":["card","app"]}
{"at":"2024-03-01 08:20:00","id":2,"zone":"market","fare":7.00,"tags":["cash"]}
{"at":"2024-03-01 08:50:00","id":3,"zone":"harbour","fare":12.25,"tags":[]}
`,
  'trips/b.jsonl': `{"at":"2024-03-01 08:25:00","id":4,"zone":"park","fare":5.00,"tags":["cash"]}
{"at":"2024-03-01 09:05:00","id":2,"zone":"market","fare":7.00,"tags":["cash"]}
{"at":"2024-03-01 09:40:00","id":5,"zone":"market","fare":20.00,"tags":["card"]}
{"at":"2024-03-01 09:50:00","id":6,"zone":"park","fare":"free","tags":[]}
`,
  'tips/a.jsonl': `{"paid":"2024-03-01 08:30:00","trip":1,"tip":2.00}
{"paid":"2024-03-01 09:45:00","trip":5,"tip":3.50}
`,
  'zones.csv': `zone,borough
harbour,South
market,North
`,
}

/** The flow of each operator; what ends in `rows()` or `batches()` prints. */
export const examples: Readonly<Record<string, string>> = {
  where: `trips.pipe(where("fare > 8 and zone <> 'park'"), select('id', 'fare'))`,
  derive: `trips.pipe(where('id < 3'), derive({ cents: ['BIGINT', 'fare * 100'] }), select('id', 'cents'))`,
  select: `trips.pipe(where('id = 1'), select('zone', 'id'))`,
  rename: `trips.pipe(where('id = 1'), select('id', 'zone'), rename({ zone: 'place' }))`,
  sql: `trips.pipe(
  sql('SELECT id, upper(zone) AS place FROM _in WHERE id < 3', { id: 'BIGINT', place: 'VARCHAR' }),
)`,
  unnest: `trips.pipe(where('id < 3'), select('id', 'tags'), unnest('tags', { as: 'tag', position: 'nth' }))`,
  filterRows: `trips.pipe(select('id', 'zone'), filterRows(({ zone }) => zone?.startsWith('h') ?? false))`,
  mapRows: `trips.pipe(
  where('id < 3'),
  mapRows(({ id, zone }) => ({ id, sign: zone?.toUpperCase() ?? null }), { id: 'BIGINT', sign: 'VARCHAR' }),
)`,
  mapBatches: `trips.pipe(
  where('id < 3'),
  select('id'),
  mapBatches(batch => batch, { id: 'BIGINT' }),
)`,
  dedupe: `trips.pipe(dedupe('id', '1 day'), select('id', 'at'))`,
  tumbling: `trips.pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count() }))`,
  hopping: `trips.pipe(where('id = 1'), hopping('1 hour', '20 minutes'), aggregate({ trips: count() }))`,
  cumulative: `trips.pipe(cumulative('3 hours', '1 hour', { offset: '8 hours' }), aggregate({ trips: count() }))`,
  calendar: `trips.pipe(calendar('day', { timeZone: 'America/New_York' }), aggregate({ trips: count() }))`,
  global: `trips.pipe(global({ unbounded: true }), groupBy('zone'), aggregate({ trips: count() }))`,
  session: `trips.pipe(session('30 minutes'), groupBy('zone'), aggregate({ trips: count() }))`,
  groupBy: `trips.pipe(tumbling('1 day'), groupBy('zone'), aggregate({ trips: count(), fares: sum('fare') }))`,
  aggregate: `trips.pipe(tumbling('1 day'), aggregate({ trips: count(), highest: max('fare'), zones: countDistinct('zone') }))`,
  topN: `trips.pipe(
  tumbling('1 day'),
  groupBy('zone'),
  aggregate({ fares: sum('fare') }),
  topN(2, { by: [['fares', 'desc'], 'zone'] }),
)`,
  deltas: `trips.pipe(
  tumbling('1 hour'),
  groupBy('zone'),
  aggregate({ trips: count() }),
  deltas({ of: ['trips'], expireAfter: '1 day' }),
)`,
  union: `union(
  trips.pipe(where('id = 5'), select('at', 'id')),
  tips.pipe(select('paid', 'trip'), rename({ paid: 'at', trip: 'id' })),
)`,
  join: `trips.pipe(
  select('at', 'id'),
  join(tips.pipe(rename({ trip: 'id' })), { on: ['id'], within: ['0 minutes', '1 hour'] }),
)`,
  lookup: `trips.pipe(where('id < 3'), select('id', 'zone'), join(zones, { on: ['zone'], kind: 'left' }))`,
  late: `late(trips.pipe(tumbling('10 minutes'), groupBy('zone'), aggregate({ trips: count() }))).pipe(
  select('id', 'late_window_end', 'late_watermark', 'late_object', 'late_row'),
)`,
  quarantine: `quarantine(trips).pipe(select('object', 'row_number', 'column_name', 'expected', 'found'))`,
  to: `trips.pipe(where('id = 1'), select('id', 'fare'), to(files('output', { format: 'json' })))`,
  rows: `trips.pipe(where('id = 1'), select('id', 'fare'), rows(), tap(row => console.log(row)))`,
  batches: `trips.pipe(where('id < 3'), select('id'), batches(), tap(({ epoch, rows }) => console.log(epoch, rows)))`,
}
