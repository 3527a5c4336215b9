import { chart, pictureHigh, pictureWide } from './chart.js'
import { el, svg, table } from './dom.js'
import { showBytes, showCount, showCounted, showDuration } from './format.js'
/** @import { EpochFacts, PageFacts } from '../facts.ts' */

/** Bars of few epochs are no wider. */
const slotsMin = 40

/** The last epochs, their phases stacked. @param {PageFacts} page */
export function epochPicture({ epochs }) {
  if (!epochs || epochs.length === 0) return null
  const names = epochs[0]?.phases.map(({ phase }) => phase) ?? []
  const slot = pictureWide / Math.max(slotsMin, epochs.length)
  const most = Math.max(...epochs.map(workOf), 1)
  const bars = epochs.flatMap((epoch, index) => {
    let y = pictureHigh
    return epoch.phases.map(({ phase, ms }) => {
      const high = (ms / most) * (pictureHigh - 6)
      y -= high
      const at = { x: index * slot + slot * 0.1, y, width: slot * 0.8, height: high }
      return svg('rect', { class: `phase ${phase}`, ...at })
    })
  })
  const work = `the most work between two commits is ${showDuration(most)}`
  const label = `The last ${showCounted(epochs.length, 'epoch')}; ${work}.`
  const whole = chart({
    label,
    drawing: bars,
    marks: epochs.map((epoch, index) => ({ x: index * slot, width: slot, text: epochText(epoch) })),
    asText: table(
      ['epoch', 'rows', 'objects', 'bytes', 'late', 'took', ...names],
      epochs
        .toReversed()
        .map(epoch => [
          showCount(epoch.epoch),
          showCount(epoch.rows),
          showCount(epoch.objects),
          showBytes(epoch.bytes),
          showCount(epoch.late),
          showDuration(epoch.tookMs),
          ...epoch.phases.map(({ ms }) => showDuration(ms)),
        ]),
    ),
  })
  const keys = names.map(name => el('span', { class: `key ${name}` }, name))
  return el('div', {}, el('p', {}, label), el('p', { class: 'legend' }, ...keys), whole)
}

/** @param {EpochFacts} epoch */
function workOf({ phases }) {
  return phases.reduce((sum, { ms }) => sum + ms, 0)
}

/** @param {EpochFacts} epoch */
function epochText({ epoch, rows, objects, tookMs, phases }) {
  const parts = phases.map(({ phase, ms }) => `${phase} ${showDuration(ms)}`)
  const what = `${showCounted(rows, 'row')} of ${showCounted(objects, 'object')} in ${showDuration(tookMs)}`
  return `Epoch ${showCount(epoch)}: ${what}; ${parts.join(', ')}`
}
