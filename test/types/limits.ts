import {
  aggregate,
  columns,
  count,
  derive,
  files,
  groupBy,
  type MiniBatch,
  parquet,
  pipeline,
  select,
  source,
  type Stream,
  sum,
  to,
  tumbling,
  where,
} from 'millrace'
import { type Observable, share, tap } from 'rxjs'
import { is } from './is.ts'

// How far the checks reach: long pipes, fragments, plain RxJS, SQL in all its forms, text that is no literal.

const hits = columns({
  ts: 'TIMESTAMPTZ NOT NULL',
  host: 'VARCHAR',
  status: 'INTEGER',
  bytes: 'BIGINT',
  tags: 'VARCHAR[]',
  geo: 'JSON',
  total_amount: 'DECIMAL(18,2)',
})
const requests = source('hits', { objects: 'data/hits', format: parquet(), columns: hits, time: 'ts' })

// ---- Twenty operators in one pipe. --------------------------------------------------------------------------------
const twenty = requests.pipe(
  where('status > 1'),
  where('status > 2'),
  where('status > 3'),
  where('status > 4'),
  where('status > 5'),
  where('status > 6'),
  where('status > 7'),
  where('status > 8'),
  where('status > 9'),
  where('status > 10'),
  where('status > 11'),
  where('status > 12'),
  where('status > 13'),
  derive({ kb: ['DOUBLE', 'bytes / 1024'] }),
  where('kb > 1'),
  tumbling('1m'),
  groupBy('host'),
  aggregate({ n: count(), revenue: sum('total_amount') }),
  where('n > 1'),
  select('host', 'revenue'),
)
is<typeof twenty, Stream<MiniBatch<{ host: 'VARCHAR'; revenue: 'DECIMAL(38,2)' }, 'TIMESTAMPTZ NOT NULL'>>>(true)
// ... and the twentieth is still checked.
requests.pipe(
  where('status > 1'),
  where('status > 2'),
  where('status > 3'),
  where('status > 4'),
  where('status > 5'),
  where('status > 6'),
  where('status > 7'),
  where('status > 8'),
  where('status > 9'),
  where('status > 10'),
  where('status > 11'),
  where('status > 12'),
  where('status > 13'),
  where('status > 14'),
  where('status > 15'),
  where('status > 16'),
  where('status > 17'),
  where('status > 18'),
  where('status > 19'),
  // @ts-expect-error the twentieth operator: no column "statsu"
  where('statsu > 20'),
)
// Longer flows go on from a variable.
twenty.pipe(where('revenue > 0'), to(files('data/out', { format: 'parquet' })))

// ---- Plain RxJS between operators, and a plain Observable for nine of them. ---------------------------------------
requests.pipe(
  where('status > 1'),
  tap(batch => batch.epoch),
  share(),
  select('status'),
)
const plain: Observable<MiniBatch<typeof hits>> = requests
plain.pipe(where('status > 1'), tumbling('1m'), groupBy('host'), aggregate({ n: count() }))

// ---- Fragments are functions of the stream. -----------------------------------------------------------------------
const sameColumns = <C extends { readonly status: 'INTEGER' }, T>(batches: Observable<MiniBatch<C, T>>) => batches
const kept = requests.pipe(sameColumns, derive({ kb: ['DOUBLE', 'bytes / 1024'] }), where('kb > 1'), tumbling('1m'))
kept.pipe(groupBy('host'), aggregate({ n: count() }))
const hourly = (flow: typeof requests) =>
  flow.pipe(where('status >= 500'), tumbling('1 hour'), groupBy('host'), aggregate({ errors: count() }))
pipeline('errors', { checkpoint: 'data/c' }, hourly(requests).pipe(to(files('data/out', { format: 'json' }))))
// @ts-expect-error a fragment asks for its columns: Property 'status' is missing
requests.pipe(select('host'), sameColumns)

// ---- SQL in all its forms. ----------------------------------------------------------------------------------------
requests.pipe(
  where(
    `status between 500 and 599 and (host like '%.example.com' or host is null) and not bytes::DOUBLE > 1e6 and regexp_matches(host, '^a.*$')`,
  ),
  where(`case when status >= 500 then true else false end and len(tags) > 0 and tags[1] = 'x'`),
  where(
    `geo.country = 'DE' and coalesce("bytes", 0) > 10 and list_contains(tags, 'it''s') and status in (500, 502, 503)`,
  ),
  where(`STATUS >= 500 AND Host IS NOT NULL`),
  where(`len(list_filter(tags, lambda x: x = 'a')) > 0`),
  where(`try_cast(host as INTEGER) is distinct from 5 and cast(bytes as DECIMAL(18,2)) > 1`),
  where(`ts >= timestamp '2022-01-01 00:00:00' and ts < date '2023-01-01' + interval 1 year`),
  derive({
    h: ['VARCHAR', "lower(split_part(host, '.', 1))"],
    d: ['DATE', 'cast(ts as date)'],
    x: ['INTEGER', 'extract(hour from ts)'],
    m: ['TIMESTAMPTZ', "time_bucket(interval '15 minutes', ts)"],
  }),
)
requests.pipe(
  where(
    'status = 500 or status = 501 or status = 502 or status = 503 or status = 504 or status = 505 or status = 506 or status = 507 or status = 508 or status = 509 or status = 510 or status = 511 or status = 512 or status = 513 or status = 514 or status = 515 or status = 516 or status = 517 or status = 518 or status = 519 or status = 520 or status = 521 or status = 522 or status = 523 or status = 524 or status = 525 or status = 526 or status = 527 or status = 528 or status = 529 or status = 530 or status = 531 or status = 532 or status = 533 or status = 534 or status = 535 or status = 536 or status = 537 or status = 538 or status = 539 or status = 540',
  ),
)

// ---- No literal: no check and no noise. DuckDB looks at it before any data is read. -------------------------------
declare const dynamic: string
requests.pipe(where(dynamic), derive({ kb: ['DOUBLE', dynamic] }), where('kb > 1'))
declare const least: number
declare const key: 'host' | 'bytes'
requests.pipe(
  where(`status >= ${least} and host = '${dynamic}'`),
  where(`${dynamic} > 5`),
  derive({ n: ['BIGINT', `bytes + ${least}`] }),
)
// A choice of literals is one: each is checked.
requests.pipe(where(`${key} is not null`))
declare const wrong: 'host' | 'byts'
// @ts-expect-error one of the choices is no column: no column "byts"
requests.pipe(where(`${wrong} is not null`))
