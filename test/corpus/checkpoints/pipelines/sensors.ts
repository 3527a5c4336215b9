import { aggregate, count, files, groupBy, max, min, parquet, pipeline, source, sum, to, tumbling } from 'millrace'

const readings = source('readings', {
  objects: './input/',
  format: parquet(),
  columns: { at: 'TIMESTAMPTZ NOT NULL', sensor: 'VARCHAR', value: 'DECIMAL(18,3)' },
  time: 'at',
  watermark: { delay: '2 hours', bounds: 'readings_{yyyy}-{MM}-{dd}' },
})

export default pipeline(
  'sensors',
  { checkpoint: './checkpoint/' },
  readings.pipe(
    tumbling('90 minutes'),
    groupBy('sensor'),
    aggregate({
      readings: count(),
      total: sum('value'),
      lowest: min('value'),
      highest: max('value'),
      first: min('at'),
      last: max('at'),
    }),
    to(files('./output/', { format: 'parquet' })),
  ),
)
