import { files, json, pipeline, source, to } from 'millrace'

/** Rows that wait until they are worth a file: one target is reached on the way, the other only at the end. */
const events = source('events', {
  objects: './input/',
  format: json(),
  columns: { at: 'TIMESTAMPTZ NOT NULL', kind: 'VARCHAR', amount: 'DOUBLE' },
  time: 'at',
  watermark: { delay: '30 minutes' },
  onBadRow: 'quarantine',
})
const [small = './small/', large = './large/'] = [process.env['CORPUS_SMALL'], process.env['CORPUS_LARGE']]

export default pipeline(
  'few-files',
  { checkpoint: './checkpoint/' },
  events.pipe(to(files(small, { format: 'json', targetSize: '9kB', maxDelay: '365 days' }))),
  events.pipe(to(files(large, { format: 'parquet', targetSize: '1GB', maxDelay: '365 days', partitionBy: ['kind'] }))),
)
