import { subscribeFlows } from '../../src/engine/bind/flows.ts'
import { formsOf } from '../../src/plan/forms.ts'
import { createGate } from '../../src/plan/gate.ts'
import type { Pipeline } from '../../src/plan/pipeline.ts'
import { freshIds, planOf } from '../../src/plan/plan-ids.ts'
import type { StoredPlan } from '../../src/plan/stored-plan.ts'
import { compileSql } from '../../src/sql/compile-sql.ts'
import type { TestDuckdb } from '../plan/duckdb.ts'

/** The canonical plan: what checkpoints compare. */
export async function canonicalPlan(duckdb: TestDuckdb, pipeline: Pipeline): Promise<StoredPlan> {
  const { terminals, unsubscribe } = subscribeFlows(pipeline)
  unsubscribe()
  const forms = await formsOf(
    terminals.map(({ node }) => node),
    createGate(duckdb),
  )
  const plan = planOf(pipeline.name, terminals, forms, freshIds(terminals, forms))
  return { ...plan, nodes: plan.nodes.map(({ id, op, options, inputs }) => ({ id, op, options, inputs })) }
}

export const sqlFile = (text: string) => ({ file: '/somewhere/pipeline.sql', text })

export function compiled(
  duckdb: TestDuckdb,
  text: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Pipeline> {
  return compileSql(sqlFile(text), { executor: duckdb, environment })
}

/** Three sources, a lookup and a sink that the tests' queries are about. */
export const statements = `
CREATE PIPELINE p WITH (checkpoint = 'ck');
CREATE SOURCE trips (
  at TIMESTAMP NOT NULL FROM lpep_pickup_datetime, zone BIGINT, fare DOUBLE, tip DOUBLE DEFAULT 0, trip_id VARCHAR,
  WATERMARK FOR at AS at - INTERVAL '1 day'
) WITH (objects = 'in/trips', format = 'parquet', bounds = 'green_tripdata_{yyyy}-{MM}');
CREATE SOURCE payments (paid_at TIMESTAMP NOT NULL, id VARCHAR NOT NULL, amount DECIMAL(18,2),
  WATERMARK FOR paid_at AS paid_at - INTERVAL '2 hours')
WITH (objects = 'in/payments', format = 'json');
CREATE SOURCE raw (id BIGINT, body JSON) WITH (objects = 'in/raw', format = 'csv', 'format.delimiter' = ';');
CREATE LOOKUP zones ("LocationID" BIGINT NOT NULL, "Name" VARCHAR, "Borough" VARCHAR, PRIMARY KEY ("LocationID"))
WITH (objects = 'ref/zones.csv', format = 'csv');
CREATE SINK out WITH (connector = 'files', path = 'out', format = 'parquet');
`
