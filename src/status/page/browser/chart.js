import { el, svg } from './dom.js'

/** The coordinates of every picture: it is drawn as wide as there is room. */
export const pictureWide = 1000
export const pictureHigh = 160

/**
 * A picture whose marks can be read one by one: by pointer, and by the arrow keys. What it shows stands as text below.
 *
 * @param {object} of
 * @param {string} of.label what it shows, in a sentence
 * @param {readonly SVGElement[]} of.drawing
 * @param {readonly { readonly x: number, readonly width: number, readonly text: string }[]} of.marks
 * @param {Node} of.asText the same as a table
 */
export function chart({ label, drawing, marks, asText }) {
  const cursor = svg('rect', { class: 'cursor', y: 0, height: pictureHigh, width: 0, x: 0 })
  const picture = svg(
    'svg',
    { viewBox: `0 0 ${pictureWide} ${pictureHigh}`, role: 'img', 'aria-label': label, preserveAspectRatio: 'none' },
    ...drawing,
    cursor,
  )
  const reading = el('output', { 'aria-live': 'polite' }, marks.at(-1)?.text ?? '')
  const frame = el('div', {
    class: 'picture',
    tabindex: 0,
    role: 'group',
    'aria-label': `${label} Arrow keys read it.`,
  })
  frame.append(picture)
  let place = marks.length - 1
  /** @param {number} next */
  const go = next => {
    const mark = marks[Math.max(0, Math.min(marks.length - 1, next))]
    if (!mark) return
    place = marks.indexOf(mark)
    cursor.setAttribute('x', String(mark.x))
    cursor.setAttribute('width', String(mark.width))
    reading.textContent = mark.text
  }
  frame.addEventListener('keydown', event => {
    const by = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 })[event.key]
    if (by === undefined) return
    event.preventDefault()
    go(place + by)
  })
  frame.addEventListener('pointermove', event => {
    const box = picture.getBoundingClientRect()
    const x = ((event.clientX - box.left) / box.width) * pictureWide
    const found = marks.findIndex(mark => x >= mark.x && x < mark.x + mark.width)
    if (found >= 0) go(found)
  })
  return el('figure', {}, frame, reading, el('details', {}, el('summary', {}, 'As a table'), asText))
}
