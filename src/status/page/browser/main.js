import { el, section } from './dom.js'
import { epochPicture } from './epochs.js'
import { showClock } from './format.js'
import { createHead } from './head.js'
import { planPicture } from './plan.js'
import { requestTable } from './requests.js'
import { sourceCards } from './sources.js'
import { asideCards, checkpointFacts, sinkTable } from './tables.js'
import { windowPictures } from './windows.js'
/** @import { Child } from './dom.js' */
/** @import { PageFacts } from '../facts.ts' */

/**
 * A part with what it is drawn of: it is drawn anew when that has changed.
 *
 * @typedef {(page: PageFacts) => readonly Child[]} Draw
 * @typedef {readonly [id: string, title: string, of: readonly (keyof PageFacts)[], draw: Draw]} Part
 */

/** @type {readonly Part[]} */
const order = [
  ['sources', 'Sources', ['sources'], page => [sourceCards(page)]],
  ['windows', 'Windows', ['states', 'sources', 'plan'], page => windowPictures(page)],
  ['plan', 'Plan', ['plan'], page => [planPicture(page)]],
  ['epochs', 'Epochs', ['epochs'], page => [epochPicture(page)]],
  ['aside', 'Late, bad and set aside', ['aside', 'totals'], page => asideCards(page)],
  ['sinks', 'Sinks', ['sinks'], page => [sinkTable(page)]],
  ['requests', 'Requests and cost', ['requests'], page => [requestTable(page)]],
  ['checkpoint', 'Checkpoint and memory', ['checkpoint', 'process', 'states'], page => checkpointFacts(page)],
]
const parts = order.map(([id, title, fields, draw]) => ({ ...section(id, title), fields, draw, drawn: '' }))

const embedded = document.getElementById('facts')?.textContent ?? ''
let page = /** @type {PageFacts} */ (JSON.parse(embedded))
const head = createHead()
const main = el('main', {}, ...parts.map(({ element }) => element))
document.body.append(head.element, main)
show()

function show() {
  head.show(page)
  for (const part of parts) {
    const now = JSON.stringify(part.fields.map(field => page[field]))
    if (now === part.drawn) continue
    part.drawn = now
    part.show(...part.draw(page))
  }
}

/**
 * Another version of millrace serves the address now, and this script may not know its facts: its own document is
 * loaded, once, as something between may go on giving the old one.
 *
 * @param {string} id of the server's document
 */
function loadsAnew(id) {
  if (id === document.documentElement.dataset.live || history.state?.loadedFor === id) return false
  history.replaceState({ loadedFor: id }, '')
  location.reload()
  return true
}

/** The page may be asked for without the slash at its end, and behind a prefix. */
function follow() {
  const events = new EventSource(`${location.pathname.replace(/\/?$/, '/')}events`)
  events.addEventListener('message', event => {
    const { document: id, ...facts } = JSON.parse(String(event.data))
    if (id !== undefined && loadsAnew(id)) return events.close()
    page = { ...page, ...facts }
    head.tell('live', false)
    show()
  })
  events.addEventListener('full', () => head.tell('not live: too many pages are open; it asks again', true))
  events.addEventListener('error', () => {
    if (!document.documentElement.hasAttribute('data-away')) head.tell(`away since ${showClock(page.atMs)}`, true)
    // A proxy that answers in the place of the run ends it for good.
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 5_000)
  })
}

if ('live' in document.documentElement.dataset) follow()
else head.tell('a report: it stands as it is', false)
