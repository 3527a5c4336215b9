import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseColumnType, sqlNames } from '../../src/core/types.ts'
import { checkedCast } from '../../src/plan/checked-cast.ts'
import {
  aggregate,
  count,
  dedupe,
  files,
  filterRows,
  global,
  groupBy,
  json,
  kafka,
  late,
  parquet,
  type Pipeline,
  pipeline,
  postgres,
  rows,
  session,
  source,
  to,
  tumbling,
  where,
} from '../../src/index.ts'
import { portableCasts } from '../../src/spark/portable-casts.ts'
import { portablePlan } from '../../src/spark/portable.ts'
import { parametrised } from '../../src/spark/parametrised.ts'
import { root, runMillrace } from '../cli/child.ts'
import { failure, type Lab, openLab } from '../engine/harness.ts'
import { castOf } from './interpret.ts'
import { names, pipelineNamed } from './pipelines.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const schemaFile = join(root, 'docs/internals/formats/portable-plan.schema.json')

const validate = new Ajv2020({ strict: true }).compile(JSON.parse(await readFile(schemaFile, 'utf8')) as object)
const schemaErrors = (plan: unknown) => (validate(plan) ? [] : validate.errors)

describe('the plan', () => {
  test.each(['tumbling-zones', 'hopping-zones', 'weeks', 'two-flows', 'unnested'])('of golden %s', async name => {
    const { stdout, code } = await runMillrace(['explain', `test/golden/pipelines/${name}.ts`, '--portable'], root)
    expect(code).toBe(0)
    const plan: unknown = JSON.parse(stdout)
    expect(schemaErrors(plan)).toEqual([])
    await expect(`${JSON.stringify(plan, null, 2)}\n`).toMatchFileSnapshot(`plans/${name}.plan`)
  })

  test('of every pipeline that is carried out fits the schema, which knows no other fields', async () => {
    await writeFile(join(lab.root, 'zones.csv'), 'name,borough,tax\n')
    for (const name of names) {
      const plan = JSON.parse(JSON.stringify(await portablePlan(pipelineNamed(lab, name)))) as object
      expect(schemaErrors(plan)).toEqual([])
      expect(schemaErrors({ ...plan, more: 1 })).not.toEqual([])
      expect(schemaErrors({ ...plan, version: 2 })).not.toEqual([])
    }
  })
})

describe('casts', () => {
  const declared = [...sqlNames, 'DECIMAL(18,2)', 'DECIMAL(30,4)']
  const decimals = Array.from({ length: 38 }, (_, digits) =>
    Array.from({ length: digits + 2 }, (_, scale) => `DECIMAL(${digits + 1},${scale})`),
  ).flat()
  const scalars = [
    'BOOLEAN',
    'INTEGER',
    'UBIGINT',
    'FLOAT',
    'DOUBLE',
    'VARCHAR',
    'BLOB',
    'DATE',
    'TIMESTAMP_NS',
    'TIME',
  ]

  test.each(declared)('to %s, of each type of a file and each DECIMAL, are those of this process', type => {
    for (const list of ['', '[]']) {
      const own = { ...parseColumnType(`${type}${list}`, 'c'), nullable: true }
      const rules = portableCasts(`${type}${list}`)
      for (const physical of [...decimals, ...scalars].map(name => `${name}${list}`)) {
        const cast = checkedCast('{raw}', physical, own, 'typed')
        if ('impossible' in cast) expect(() => castOf(rules, physical)).toThrow(cast.impossible)
        else {
          const value = cast.value === '{raw}' ? '{raw}' : '{value}'
          expect(castOf(rules, physical)).toEqual({ value: cast.value, misfit: cast.misfit?.(value) ?? null })
        }
      }
    }
  })
})

describe('what another executor cannot do is refused by name', () => {
  const trips = (more: object = {}) =>
    source('trips', {
      objects: lab.input,
      format: parquet(),
      columns: { at: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', n: 'BIGINT' },
      time: 'at',
      ...more,
    })
  const end = () => to(files(lab.output, { format: 'parquet' }))
  const counted = { n: count() }
  const flows: Readonly<Record<string, readonly [() => Pipeline['flows'][number], string]>> = {
    'a function': [
      () =>
        trips().pipe(
          filterRows(({ n }) => n !== null),
          end(),
        ),
      'filterRows: it calls a function',
    ],
    'rows that are handed over': [() => trips().pipe(rows()), 'flow-1: rows() hands rows to code of this process'],
    'late rows': [
      () => late(trips().pipe(tumbling('1 hour'), aggregate(counted))).pipe(end()),
      'late: it takes what was set aside',
    ],
    sessions: [
      () => trips().pipe(session('1 hour'), groupBy('zone'), aggregate(counted), end()),
      'aggregate: its windows come from the rows',
    ],
    dedupe: [() => trips().pipe(dedupe('zone', '1 hour'), end()), 'dedupe: '],
    changes: [
      () =>
        trips().pipe(
          tumbling('1 hour'),
          aggregate(counted),
          to(files(lab.output, { format: 'parquet' }), { emit: 'update' }),
        ),
      "flow-1: emit: 'update' gives changes",
    ],
    'another format': [() => trips({ format: json() }).pipe(end()), 'source trips: its format is json'],
    'a column of what does not fit': [() => trips({ rescue: 'rest' }).pipe(end()), "source trips: rescue: 'rest'"],
    'late rows that are applied': [
      () => trips({ late: { retention: '1 day' } }).pipe(tumbling('1 hour'), aggregate(counted), end()),
      'source trips: late: { retention }',
    ],
    'a field of a struct': [
      () => trips({ columns: { at: 'TIMESTAMP', city: 'VARCHAR FROM address.city' } }).pipe(end()),
      "source trips: column 'city' is read FROM address.city",
    ],
  }
  test.each(Object.entries(flows))('%s', async (_, [make, message]) => {
    const error = await failure(portablePlan(pipeline('p', { checkpoint: lab.checkpoint }, make() as never)))
    expect(error.code).toBe('not-portable')
    expect(error.message).toContain(message)
    expect(error.message).toContain('The plan of this pipeline is not portable.')
  })

  test('by the command line too, with the place in the file', async () => {
    const { stderr, stdout, code } = await runMillrace(
      ['explain', 'test/golden/pipelines/sessions.ts', '--portable'],
      root,
    )
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('test/golden/pipelines/sessions.ts:12:5: aggregate: its windows come from the rows')
  })

  test('windows for all rows are carried', async () => {
    const flow = trips().pipe(global({ unbounded: true }), groupBy('zone'), aggregate(counted), end())
    const plan = await portablePlan(pipeline('p', { checkpoint: lab.checkpoint }, flow))
    expect(plan.stages[0]?.channels[0]?.flushAt?.parameters).toEqual(['limit'])
  })
})

describe('a parameter', () => {
  test('stands in the place of a number', () => {
    expect(parametrised(['from', 'to'], ({ to: last }) => `x <= ${last} AND y = '$from'`)).toEqual({
      sql: `x <= CAST($to AS BIGINT) AND y = '$from'`,
      parameters: ['to'],
    })
  })

  test.each([
    ['computed with', (limit: bigint) => `x < ${limit / 60n}`],
    ['compared', (limit: bigint) => (limit < 2n ** 62n ? 'NULL' : 'x')],
    ['compared with 1970', (limit: bigint) => (limit < 0n ? 'NULL' : 'x')],
  ])('is none where a number is %s', (_, make) => {
    expect(parametrised(['limit'], ({ limit }) => make(limit))).toBeUndefined()
  })
})

describe('secrets', () => {
  const secret = 'xyzzy-0451'

  test('of options are no part of the plan, nor are places', async () => {
    const trips = source('trips', {
      objects: `s3://${secret}/in/`,
      format: parquet(),
      columns: { at: 'TIMESTAMP', zone: 'VARCHAR' },
      time: 'at',
      notifications: kafka({
        brokers: ['localhost:9092'],
        topic: 'objects',
        sasl: { mechanism: 'plain', username: 'me', password: secret },
      }),
    })
    const flow = trips.pipe(
      where("zone <> 'x'"),
      to(postgres({ url: `postgres://me:${secret}@localhost/${secret}`, table: 'zones' })),
    )
    const plan = JSON.stringify(await portablePlan(pipeline('p', { checkpoint: `s3://${secret}/checkpoint/` }, flow)))
    expect(plan).toContain("!= 'x'")
    expect(plan).not.toContain(secret)
  })

  test('of variables in SQL are not put into a plan, and a query has none', async () => {
    const file = join(lab.root, 'p.sql')
    await writeFile(
      file,
      `CREATE PIPELINE p WITH (checkpoint = 's3://\${SECRET}/checkpoint/');
CREATE SOURCE trips ("at" TIMESTAMP, zone VARCHAR)
WITH (objects = 's3://\${SECRET}/in/', format = 'parquet', time = 'at');
CREATE SINK zones WITH (connector = 'postgres', url = 'postgres://me:\${SECRET}@localhost/x', table = 'zones');
INSERT INTO zones SELECT "at", zone FROM trips WHERE zone <> '\${SECRET}';
`,
    )
    const { stdout, stderr, code } = await runMillrace(['explain', file, '--portable'], root, { SECRET: secret })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain("!= '${SECRET}'")
    expect(stdout).not.toContain(secret)
  })
})
