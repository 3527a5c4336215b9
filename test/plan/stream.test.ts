import { describe, expect, test } from 'vitest'
import { json, rows, source, tumbling, aggregate, count } from '../../src/index.ts'

const trips = source('trips', { objects: 'in', format: json(), columns: { t: 'TIMESTAMP NOT NULL' }, time: 't' })

describe('a step of pipe() that is no operator is refused where it stands', () => {
  test.each([
    ['undefined', undefined, /pipe: step 4: undefined is not valid; expected an operator of millrace or of RxJS/],
    ['a flow', trips, /pipe: step 4: 'a flow' is not valid; .* of several flows union\(green, yellow\) makes one/],
    ['gives nothing', () => undefined, /pipe: step 4: 'a function that gives undefined' is not valid/],
    ['gives a Promise', async () => {}, /step 4: 'a function that gives a Promise'.*concatMap\(async row => \.\.\.\)/],
  ])('%s', (_, step, message) => {
    const pipe = () => trips.pipe(tumbling('1 hour'), aggregate({ n: count() }), rows(), step as never)
    expect(pipe).toThrow(message)
  })
})
