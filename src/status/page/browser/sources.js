import { el, facts } from './dom.js'
import { showBytes, showCount, showCounted, showDuration, showTime } from './format.js'
/** @import { PageFacts, SourceFacts } from '../facts.ts' */

/** @param {PageFacts} page */
export function sourceCards({ sources, atMs }) {
  const cards = sources.map(source => el('article', {}, el('h3', {}, source.name), sourceFacts(source, atMs)))
  return cards.length > 0 && el('div', { class: 'cards' }, ...cards)
}

/** @param {SourceFacts} source @param {number} atMs */
function sourceFacts(source, atMs) {
  const { address, watermarkMs, highestMs, read, rowsPerSecond, bytesPerSecond, rows, inHand, backlog } = source
  // SQS tells no age of what waits there.
  const ages = [inHand?.oldestMs ?? [], backlog?.oldestMs ?? []].flat()
  const isWaiting = (inHand?.objects ?? 0) + (backlog?.messages ?? 0) > 0
  return facts([
    address === '' ? null : ['place', address],
    ['highest event time', highestMs === null ? 'none yet' : showTime(highestMs)],
    // Of history that is read again it would be the age of history.
    highestMs === null || highestMs > atMs || atMs - highestMs > 7 * 86_400_000
      ? null
      : ['freshness', `its newest row is ${showDuration(atMs - highestMs)} old`],
    ['watermark', watermarkMs === null ? 'none yet' : showTime(watermarkMs)],
    rowsPerSecond === null || bytesPerSecond === null
      ? null
      : ['rate', `${showCount(rowsPerSecond)} rows/s, ${showBytes(bytesPerSecond)}/s in the last minute`],
    read && ['read', `${showCounted(read.rows, 'row')} of ${showCounted(read.objects, 'object')}`],
    rows === null ? null : ['since the start', showCounted(rows, 'row')],
    inHand && ['in hand', showCounted(inHand.objects, 'object')],
    backlog?.messages === null || !backlog ? null : ['backlog', showCounted(backlog.messages, 'message')],
    inHand && ['oldest waits for', isWaiting ? oldestText(ages) : 'nothing waits'],
  ])
}

/** @param {number[]} ages in milliseconds */
function oldestText(ages) {
  return ages.length === 0 ? 'not known' : showDuration(Math.max(...ages))
}
