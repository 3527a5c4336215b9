import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { aggregate, batches, count, groupBy, pipeline, sum, tumbling } from 'millrace'
import { concatMap } from 'rxjs'
import { trips } from './months.ts'

const folder = process.env.GOLDEN_TAKEN ?? 'taken'
mkdirSync(folder, { recursive: true })

/**
 * Its receiver is a file: a line for each epoch that it has taken, a while after it was given. Beside a file `deadly` it
 * kills the process instead.
 */
export default pipeline(
  'handed-over',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    tumbling('6 hours'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    batches(),
    concatMap(async ({ epoch, rows }) => {
      await setTimeout(20)
      if (existsSync(join(folder, 'deadly'))) process.kill(process.pid, 'SIGKILL')
      const text = JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
      const hash = createHash('sha256').update(text).digest('hex')
      appendFileSync(join(folder, 'lines'), `${epoch} ${rows.length} ${hash}\n`)
    }),
  ),
)
