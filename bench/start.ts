/**
 * What a start costs: `millrace backfill` with nothing to do, in a directory and in a bucket of MinIO on this machine,
 * by CPU time (user and system) of the whole process and by the clock. Builds to compare with run in turns.
 *
 *     .ci/build && node bench/start.ts [OTHER_DIST ...]      MILLRACE_ROUNDS=8
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { promisify } from 'node:util'
import { startMinio } from '../test/servers/minio.ts'
import { openLiveLab } from '../test/live/live-lab.ts'

const rounds = Number(process.env.MILLRACE_ROUNDS ?? 8)
const builds = [...process.argv.slice(2), join(import.meta.dirname, '../dist')].map(path => resolve(path))
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
// Printed by the process itself, at its very end: nobody else can ask what a child has used.
const meter = `data:text/javascript,process.on('exit',()=>{const{user,system}=process.cpuUsage();console.error('cpu '+(user+system)/1e6)})`

interface Cost {
  readonly cpu: number
  readonly clock: number
}

async function backfill(dist: string, env: NodeJS.ProcessEnv): Promise<Cost> {
  const startedMs = performance.now()
  const args = ['--import', meter, join(dist, 'src/cli/bin.js'), 'backfill', pipeline]
  const { stderr } = await promisify(execFile)(process.execPath, args, { env })
  const [, cpu] = /^cpu (.*)$/m.exec(stderr) ?? []
  if (cpu === undefined) throw new Error(`the backfill has not told its CPU time:\n${stderr}`)
  return { cpu: Number(cpu), clock: (performance.now() - startedMs) / 1000 }
}

const told = (values: readonly number[]) => {
  const sorted = values.toSorted((a, b) => a - b)
  return `${sorted[sorted.length >> 1]?.toFixed(2)} s (${sorted[0]?.toFixed(2)})`
}

async function compare(what: string, env: NodeJS.ProcessEnv): Promise<void> {
  const costs = new Map<string, Cost[]>(builds.map(build => [build, []]))
  // The first round takes the objects in, and leaves what it compiled.
  for (let round = 0; round <= rounds; round++)
    for (const [build, all] of costs) {
      const cost = await backfill(build, env)
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
