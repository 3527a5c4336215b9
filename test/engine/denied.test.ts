import { afterEach, beforeEach, expect, test } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import { failure, type Lab, openLab, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  for (const key of ['a', 'b']) await lab.parquet(`${key}.parquet`, `SELECT TIMESTAMP '2022-01-01' AS t`)
})
afterEach(() => lab[Symbol.asyncDispose]())

/** A store that gives everything but this object, as a bucket whose policy forbids it. */
const withDenied = (denied: string) => ({
  ...components,
  async openInput(address: string, field: string) {
    const { link: _, ...store } = await components.openInput(address, field)
    return {
      ...store,
      get: async (...[key, options]: Parameters<typeof store.get>) => {
        if (key === denied) throw new MillraceError('user', 'object-denied', `GetObject ${key} failed: Access Denied.`)
        return store.get(key, options)
      },
    }
  },
})

const run = (onDenied?: 'fail' | 'skip' | 'quarantine') =>
  backfillWith(
    withDenied('b.parquet'),
    windowed(lab, lab, { columns: { t: 'TIMESTAMP NOT NULL' }, ...(onDenied ? { onDenied } : {}) }),
    { threads: 1 },
  )

test('an object that may not be read stops the run by default, and the other is counted when it is granted', async () => {
  const error = await failure(run())
  expect(error.code).toBe('denied-object')
  expect(error.message).toMatch(/source in: object 'b.parquet' may not be read: .*Access Denied.*onDenied/)
  expect(
    (await backfillWith(components, windowed(lab, lab, { columns: { t: 'TIMESTAMP NOT NULL' } }), {})).totals,
  ).toMatchObject({
    objects: 2,
    rows: 2,
    quarantined: 0,
  })
})

test.each([
  ['quarantine', { quarantined: 1, skipped: 0 }],
  ['skip', { quarantined: 0, skipped: 1 }],
] as const)('onDenied %s records it with the reason', async (onDenied, counts) => {
  const { totals } = await run(onDenied)
  expect(totals).toMatchObject({ objects: 2, rows: 1, ...counts })
  expect((await lab.channel('ledger')).find(({ key }) => key === 'b.parquet')?.reason).toContain('Access Denied')
})
