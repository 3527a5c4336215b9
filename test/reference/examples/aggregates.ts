// What the page of aggregates shows for each: a call over the fares of one day, in one window.

export const fares = `{"at":"2024-03-01 08:00:00","driver":"ada","miles":1.0,"fare":6.00,"zone":"harbour","is_paid":true,"flags":3}
{"at":"2024-03-01 09:00:00","driver":"ben","miles":2.0,"fare":8.00,"zone":"market","is_paid":true,"flags":1}
{"at":"2024-03-01 10:00:00","driver":"ada","miles":4.0,"fare":12.00,"zone":"market","is_paid":false,"flags":5}
{"at":"2024-03-01 11:00:00","driver":"cyd","miles":null,"fare":8.00,"zone":"park","is_paid":true,"flags":1}
`

export const prelude = `const fares = source('fares', {
  objects: 'fares',
  format: json(),
  columns: {
    at: 'TIMESTAMP NOT NULL',
    driver: 'VARCHAR',
    miles: 'DOUBLE',
    fare: 'DECIMAL(9,2)',
    zone: 'VARCHAR',
    is_paid: 'BOOLEAN',
    flags: 'INTEGER',
  },
  time: 'at',
})
`

export const calls: Readonly<Record<string, string>> = {
  count: `count({ filter: 'fare > 7' })`,
  countDistinct: `countDistinct('driver')`,
  approxDistinct: `approxDistinct('driver')`,
  sum: `sum('fare')`,
  product: `product('flags')`,
  avg: `avg('fare')`,
  variance: `variance('fare')`,
  stddev: `stddev('fare')`,
  varPop: `varPop('fare')`,
  stddevPop: `stddevPop('fare')`,
  median: `median('fare')`,
  quantile: `quantile('fare', 0.95)`,
  exactQuantile: `exactQuantile('fare', 0.95)`,
  bitAnd: `bitAnd('flags')`,
  bitOr: `bitOr('flags')`,
  bitXor: `bitXor('flags')`,
  covarSamp: `covarSamp('fare', 'miles')`,
  covarPop: `covarPop('fare', 'miles')`,
  corr: `corr('fare', 'miles')`,
  regrSlope: `regrSlope('fare', 'miles')`,
  regrIntercept: `regrIntercept('fare', 'miles')`,
  regrR2: `regrR2('fare', 'miles')`,
  min: `min('fare')`,
  max: `max('fare')`,
  first: `first('zone')`,
  last: `last('zone')`,
  argMin: `argMin('driver', 'fare')`,
  argMax: `argMax('driver', 'fare')`,
  mode: `mode('fare')`,
  boolAnd: `boolAnd('is_paid')`,
  boolOr: `boolOr('is_paid')`,
  smallest: `smallest('fare', 2)`,
  largest: `largest('fare', 2)`,
  collect: `collect('zone', { max: 3 })`,
  collectSet: `collectSet('zone', 10)`,
  listagg: `listagg('zone', { max: 3, separator: ' > ' })`,
  topK: `topK('zone', 1)`,
  histogram: `histogram('fare')`,
  entropy: `entropy('driver')`,
}
