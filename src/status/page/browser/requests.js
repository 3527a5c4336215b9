import { el, table } from './dom.js'
import { showCount, showPrice } from './format.js'
/** @import { PageFacts, RequestFacts } from '../facts.ts' */

/** @type {Readonly<Record<RequestFacts['kind'], string>>} */
const names = {
  put: 'PUT, COPY and POST of objects',
  list: 'listings of objects',
  get: 'GET and HEAD of objects',
  delete: 'deletes of objects',
  queue: 'requests to queues',
}

/** What was asked of services that charge for it. @param {PageFacts} page */
export function requestTable({ requests }) {
  if (!requests || requests.length === 0) return null
  const costs = requests.flatMap(({ costPerDay }) => (costPerDay === null ? [] : [costPerDay]))
  const cost = costs.length === 0 ? null : costs.reduce((sum, one) => sum + one, 0)
  const unpriced = requests.filter(({ price }) => price === null)
  const said =
    cost === null
      ? 'As many a day as in the last hour. With prices of --request-price it says what they cost.'
      : `${showPrice(cost)} a day, if a day is as the last hour and by the prices of --request-price.` +
        (unpriced.length > 0 ? ` Without ${unpriced.map(({ kind }) => kind).join(', ')}, which have none.` : '')
  const rows = requests.map(({ kind, count, perDay, price, costPerDay }) => [
    `${kind}: ${names[kind]}`,
    showCount(count),
    perDay === null ? 'after a minute' : showCount(perDay),
    price === null ? '' : showPrice(price),
    costPerDay === null ? '' : showPrice(costPerDay),
  ])
  return el(
    'div',
    {},
    el('p', {}, said),
    table(['requests', 'since the start', 'a day', 'price of 1,000', 'cost a day'], rows),
  )
}
