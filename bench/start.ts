/**
 * What a start costs: `millrace backfill` with nothing to do, in a directory and in a bucket of MinIO on this machine,
 * by CPU time (user and system) of the whole process and by the clock. Builds to compare with run in turns.
 *
 *     .ci/build && node bench/start.ts [OTHER_DIST ...]      MILLRACE_ROUNDS=8
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildsToCompare, type Cost, costOf, median } from './cost-of.ts'
import { startMinio } from '../test/servers/minio.ts'
import { openLiveLab } from '../test/live/live-lab.ts'

const rounds = Number(process.env.MILLRACE_ROUNDS ?? 8)
const builds = buildsToCompare()
const folder = await mkdtemp(join(tmpdir(), 'millrace-start-'))
const at = (name: string) => join(folder, name)
const pipeline = at('pipeline.ts')
await writeFile(
  pipeline,
  `import { aggregate, count, files, groupBy, json, pipeline, source, sum, to, tumbling } from 'millrace'
const { TRIPS_OBJECTS, TRIPS_CHECKPOINT, TRIPS_OUTPUT } = process.env
const events = source('events', { objects: TRIPS_OBJECTS, format: json(), time: 't', watermark: { delay: '1 hour' },
  columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'BIGINT' } })
export default pipeline('start-bench', { checkpoint: TRIPS_CHECKPOINT }, events.pipe(tumbling('1 day'), groupBy('k'),
  aggregate({ n: count(), total: sum('v') }), to(files(TRIPS_OUTPUT, { format: 'parquet' }))))
`,
)
const told = (values: readonly number[]) => `${median(values).toFixed(2)} s (${Math.min(...values).toFixed(2)})`

async function compare(what: string, env: NodeJS.ProcessEnv): Promise<void> {
  const costs = new Map<string, Cost[]>(builds.map(build => [build, []]))
  // The first round takes the objects in, and leaves what it compiled.
  for (let round = 0; round <= rounds; round++)
    for (const [build, all] of costs) {
      const cost = await costOf([join(build, 'src/cli/bin.js'), 'backfill', pipeline], env)
      if (round > 0) all.push(cost)
    }
  for (const [build, all] of costs)
    console.log(
      `${what}, ${build}: CPU ${told(all.map(({ cpu }) => cpu))}, clock ${told(all.map(({ clock }) => clock))}`,
    )
}

const minio = await startMinio()
const lab = await openLiveLab(minio.endpoint, 'start')
try {
  console.log(`nothing to do; median (best) of ${rounds}`)
  await mkdir(at('in'))
  const file = join(at('in'), 'rows.json')
  await writeFile(file, '{"t":"2024-01-01T00:00:00","k":"a","v":1}\n')
  const local = { TRIPS_OBJECTS: at('in'), TRIPS_CHECKPOINT: at('checkpoint'), TRIPS_OUTPUT: at('output') }
  await compare('a directory', { ...process.env, ...local })
  await lab.put('rows.json', file)
  await compare('a bucket', lab.env({}))
} finally {
  await lab[Symbol.asyncDispose]()
  await minio.stop()
  await rm(folder, { recursive: true, force: true })
}
