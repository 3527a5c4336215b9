/** Elements. What comes from outside enters as text nodes and attributes only, never as markup. */

/** @typedef {Node | string | false | null} Child */

/**
 * @param {string} name
 * @param {Readonly<Record<string, string | number>>} attributes
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children)
}

/**
 * @param {string} name
 * @param {Readonly<Record<string, string | number>>} attributes
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  return fill(/** @type {SVGElement} */ (element), attributes, children)
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Readonly<Record<string, string | number>>} attributes
 * @param {readonly Child[]} children
 */
function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value))
  element.append(...children.filter(child => child !== null && child !== false))
  return element
}

/**
 * Names with what they are, one below the other.
 *
 * @param {readonly (readonly [string, Child] | null)[]} rows
 */
export function facts(rows) {
  const known = rows.filter(row => row !== null)
  return el('dl', {}, ...known.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))))
}

/**
 * @param {readonly string[]} heads
 * @param {readonly (readonly Child[])[]} rows
 */
export function table(heads, rows) {
  const head = el('tr', {}, ...heads.map(name => el('th', { scope: 'col' }, name)))
  const body = rows.map(cells => el('tr', {}, ...cells.map(cell => el('td', {}, cell))))
  const whole = el('table', {}, el('thead', {}, head), el('tbody', {}, ...body))
  return el('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': heads.join(', ') }, whole)
}

/**
 * A part of the page. What is drawn anew keeps what was open and where the reader was.
 *
 * @param {string} id
 * @param {string} title
 */
export function section(id, title) {
  const body = el('div')
  const whole = el('section', { id, 'aria-labelledby': `${id}-title` }, el('h2', { id: `${id}-title` }, title), body)
  return {
    element: whole,
    /** @param {...Child} children none: the part is hidden */
    show(...children) {
      const drawn = children.filter(child => child !== null && child !== false)
      whole.hidden = drawn.length === 0
      const places = [...body.querySelectorAll('details, [tabindex], button, input, summary')]
      const open = places.map(place => place instanceof HTMLDetailsElement && place.open)
      const scrolled = places.map(place => place.scrollLeft)
      const focused = places.findIndex(place => place === document.activeElement)
      body.replaceChildren(...drawn)
      const now = [...body.querySelectorAll('details, [tabindex], button, input, summary')]
      for (const [index, place] of now.entries()) {
        if (place instanceof HTMLDetailsElement && open[index]) place.open = true
        place.scrollLeft = scrolled[index] ?? 0
      }
      const again = now[focused]
      if (focused >= 0 && again instanceof HTMLElement) again.focus({ preventScroll: true })
    },
  }
}
