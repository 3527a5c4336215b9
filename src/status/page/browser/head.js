import { el, facts } from './dom.js'
import { showBytes, showClock, showCount, showDuration, showTime } from './format.js'
/** @import { PageFacts } from '../facts.ts' */

/** The sentence, and the figures that are asked for first. */
export function createHead() {
  const name = el('h1')
  const at = el('p', { class: 'at' })
  const link = el('p', { role: 'status', class: 'link' })
  const sentence = el('p', { class: 'sentence', id: 'sentence' })
  const figures = el('div', { class: 'figures', id: 'figures' })
  return {
    element: el('header', {}, el('div', { class: 'title' }, name, at, link), sentence, figures),
    /** @param {PageFacts} page */
    show(page) {
      document.title = `${page.pipeline}: ${page.sentence}`
      document.documentElement.dataset.mood = page.mood
      name.textContent = page.pipeline
      sentence.textContent = page.sentence
      at.textContent = page.process ? showClock(page.atMs) : ''
      figures.replaceChildren(...figuresOf(page))
    },
    /** @param {string} text @param {boolean} isAway */
    tell(text, isAway) {
      link.textContent = text
      document.documentElement.toggleAttribute('data-away', isAway)
    },
  }
}

/** @param {PageFacts} page */
function figuresOf({ totals, checkpoint, process, epochs, version, atMs }) {
  const last = epochs?.at(-1)
  const known = /** @type {readonly (readonly [string, string] | null)[]} */ ([
    totals && ['rows', showCount(totals.rows)],
    totals && ['objects', showCount(totals.objects)],
    checkpoint.epoch === null ? null : ['epoch', showCount(checkpoint.epoch)],
    last ? ['last epoch took', showDuration(last.tookMs)] : null,
    checkpoint.commitAgeMs === null ? null : ['last commit', `${showDuration(checkpoint.commitAgeMs)} ago`],
    process?.memory ? ['memory', `${showBytes(process.memory.usedBytes)}`] : null,
    process ? ['up for', showDuration(process.upMs)] : null,
    ['millrace', version],
    process ? null : ['made', `${showTime(Math.floor(atMs / 1000) * 1000)} UTC`],
  ])
  return known.flatMap(row => (row === null ? [] : [facts([row])]))
}
