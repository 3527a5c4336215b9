/** The pipeline that the demo writes beside its data: what a user would write. */
export const pipelineFile = `import {
  aggregate, count, files, groupBy, parquet, pipeline, source, sum, to, tumbling, where,
} from 'millrace'

const here = import.meta.dirname

const trips = source('trips', {
  objects: \`\${here}/input/\`,
  format: parquet(),
  columns: {
    lpep_pickup_datetime: 'TIMESTAMP NOT NULL',
    PULocationID: 'BIGINT',
    total_amount: 'DECIMAL(18,2)',
  },
  time: 'lpep_pickup_datetime',
  // A file of one month may hold rows of any other: only those of its own month move the watermark.
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
})

export default pipeline('revenue-by-zone', { checkpoint: \`\${here}/checkpoint/\` },
  trips.pipe(
    where('total_amount > 0'),
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    to(files(\`\${here}/output/\`, { format: 'parquet' })),
  ),
)
`
