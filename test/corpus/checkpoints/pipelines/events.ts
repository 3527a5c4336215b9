import { aggregate, count, files, groupBy, json, mapRows, pipeline, source, sum, to, tumbling } from 'millrace'

/** JSON lines with rows set aside, a function of TypeScript, and a quantile as the high mark. */
const events = source('events', {
  objects: './input/',
  format: json(),
  columns: { at: 'TIMESTAMPTZ NOT NULL', kind: 'VARCHAR', amount: 'DOUBLE' },
  time: 'at',
  watermark: { delay: '30 minutes', mark: { quantile: 0.9 } },
  onBadRow: 'quarantine',
})

export default pipeline(
  'events',
  { checkpoint: './checkpoint/' },
  events.pipe(
    mapRows(row => (row.kind === 'drop' ? null : { ...row, kind: `${row.kind ?? 'none'}!` }), {
      at: 'TIMESTAMPTZ NOT NULL',
      kind: 'VARCHAR',
      amount: 'DOUBLE',
    }),
    tumbling('1 hour'),
    groupBy('kind'),
    aggregate({ n: count(), total: sum('amount') }),
    to(files('./output/', { format: 'json' })),
  ),
)
