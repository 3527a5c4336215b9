import { aggregate, count, files, groupBy, join, json, lookup, pipeline, source, sum, to, tumbling } from 'millrace'

/** A table beside the rows: its versions are entries of the ledger, and lie in a channel of their own. */
const events = source('events', {
  objects: './input/',
  format: json(),
  columns: { at: 'TIMESTAMPTZ NOT NULL', kind: 'VARCHAR', amount: 'DOUBLE' },
  time: 'at',
  watermark: { delay: '30 minutes' },
  onBadRow: 'quarantine',
})
const kinds = lookup('kinds', {
  objects: './table/',
  format: json(),
  columns: { kind: 'VARCHAR NOT NULL', is_sale: 'BOOLEAN', weight: 'BIGINT' },
  key: ['kind'],
})

export default pipeline(
  'looking-up',
  { checkpoint: './checkpoint/' },
  events.pipe(
    join(kinds, { on: ['kind'], kind: 'left' }),
    tumbling('1 hour'),
    groupBy('is_sale'),
    aggregate({ n: count(), weight: sum('weight') }),
    to(files('./output/', { format: 'json' })),
  ),
)
