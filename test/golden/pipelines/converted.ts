import { derive, files, parquet, pipeline, source, to, where } from 'millrace'

/** A source without event time: rows only pass through. */
const readings = source('readings', {
  objects: './readings/',
  format: parquet(),
  columns: { at: 'TIMESTAMPTZ', sensor: 'VARCHAR', value: 'DECIMAL(18,3)', object_key: 'VARCHAR FROM META' },
})

export default pipeline(
  'converted',
  { checkpoint: './checkpoint/' },
  readings.pipe(
    where('value > 50'),
    derive({ rounded: ['INTEGER', 'round(value)'] }),
    to(files('./output/', { format: 'json' })),
  ),
)
