import { el, svg } from './dom.js'
/** @import { PageFacts, PlanBox, PlanFacts } from '../facts.ts' */

const boxWide = 236
const boxHigh = 66
const gapX = 28
const gapY = 46

/** Steps as boxes from top to bottom, with what was counted at the boxes and the arrows. @param {PageFacts} page */
export function planPicture({ plan }) {
  if (plan.boxes.length === 0) return null
  const places = placesOf(plan)
  const wide = Math.max(...[...places.values()].map(({ x }) => x)) + boxWide + 2
  const high = Math.max(...[...places.values()].map(({ y }) => y)) + boxHigh + 2
  const arrows = plan.arrows.flatMap(({ from, to, count }) => {
    const [a, b] = [places.get(from), places.get(to)]
    if (!a || !b) return []
    const [x1, y1, x2, y2] = [a.x + boxWide / 2, a.y + boxHigh, b.x + boxWide / 2, b.y]
    const middle = (y1 + y2) / 2
    return [
      svg('path', {
        class: 'arrow',
        d: `M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`,
        'marker-end': 'url(#tip)',
      }),
      svg('text', { class: 'count', x: (x1 + x2) / 2 + 8, y: middle + 4 }, count),
    ]
  })
  const tip = svg('path', { d: 'M0 0L8 4L0 8z', class: 'tip' })
  const marker = svg(
    'marker',
    { id: 'tip', viewBox: '0 0 8 8', refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, orient: 'auto' },
    tip,
  )
  const boxes = plan.boxes.map(box => boxOf(box, places.get(box.id) ?? { x: 0, y: 0 }))
  const label = `The plan: ${plan.boxes.map(({ title }) => title).join(', ')}.`
  const picture = svg(
    'svg',
    { viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: 'img', 'aria-label': label },
    svg('defs', {}, marker),
    ...arrows,
    ...boxes,
  )
  const frame = el('div', { class: 'plan', tabindex: 0, role: 'region', 'aria-label': label }, picture)
  const asText = el(
    'details',
    {},
    el('summary', {}, 'As a list'),
    el('ol', {}, ...plan.boxes.map(box => itemOf(box, plan))),
  )
  return el('figure', {}, frame, asText)
}

/** @param {PlanBox} box @param {{ readonly x: number, readonly y: number }} place */
function boxOf({ kind, title, detail, count }, { x, y }) {
  return svg(
    'g',
    { class: `box ${kind}`, transform: `translate(${x + 1} ${y + 1})` },
    svg('title', {}, [title, detail, count].filter(text => text !== '').join('\n')),
    svg('rect', { width: boxWide, height: boxHigh, rx: 8 }),
    svg('text', { class: 'name', x: 12, y: 22 }, cut(title, 28)),
    svg('text', { class: 'detail', x: 12, y: 40 }, cut(detail, 34)),
    svg('text', { class: 'count', x: 12, y: 56 }, cut(count, 34)),
  )
}

/** @param {PlanBox} box @param {PlanFacts} plan */
function itemOf({ id, title, detail, count }, { boxes, arrows }) {
  const from = arrows
    .filter(({ to }) => to === id)
    .map(arrow => {
      const name = boxes.find(box => box.id === arrow.from)?.title ?? ''
      return arrow.count === '' ? name : `${name} (${arrow.count})`
    })
  const parts = [title, detail, count, from.length > 0 ? `from ${from.join(' and ')}` : '']
  return el('li', {}, parts.filter(text => text !== '').join('; '))
}

/** @param {string} text @param {number} longest */
function cut(text, longest) {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text
}

/** Each box below all that feed it. @param {PlanFacts} plan */
function placesOf({ boxes, arrows }) {
  const ranks = new Map(boxes.map(({ id }) => [id, 0]))
  // Boxes come after those that feed them.
  for (const { id } of boxes)
    for (const { from, to } of arrows)
      if (to === id) ranks.set(id, Math.max(ranks.get(id) ?? 0, (ranks.get(from) ?? 0) + 1))
  const taken = /** @type {number[]} */ ([])
  const column = new Map(
    boxes.map(({ id }) => {
      const rank = ranks.get(id) ?? 0
      const place = taken[rank] ?? 0
      taken[rank] = place + 1
      return /** @type {const} */ ([id, { rank, place }])
    }),
  )
  const widest = Math.max(...taken.map(count => count ?? 0))
  return new Map(
    [...column].map(([id, { rank, place }]) => {
      const free = (widest - (taken[rank] ?? 1)) * ((boxWide + gapX) / 2)
      return /** @type {const} */ ([id, { x: free + place * (boxWide + gapX), y: rank * (boxHigh + gapY) }])
    }),
  )
}
