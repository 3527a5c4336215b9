import { chart, pictureHigh, pictureWide } from './chart.js'
import { el, svg, table } from './dom.js'
import { showCount, showCounted, showTime } from './format.js'
/** @import { PageFacts, StateFacts, WindowFacts } from '../facts.ts' */

/** Windows that overlap lie above one another, in so many rows at most. */
const lanesMax = 12

/** Open windows over event time, and the watermark that closes them. @param {PageFacts} page */
export function windowPictures({ states, sources, plan }) {
  const highestMs = Math.max(...sources.map(({ highestMs }) => highestMs ?? -Infinity))
  return states
    .filter(({ windows }) => windows.length > 0)
    .map(state => windowPicture(state, plan.boxes.find(({ id }) => id === state.name)?.title ?? '', highestMs))
}

/** @param {StateFacts} state @param {string} step that keeps it @param {number} highestMs */
function windowPicture({ name, windows, openWindows, watermarkMs, why }, step, highestMs) {
  const marks = [watermarkMs, highestMs].filter(ms => ms !== null && Number.isFinite(ms))
  const from = Math.min(...windows.map(({ startMs }) => startMs), watermarkMs ?? Infinity)
  const to = Math.max(...windows.map(({ endMs }) => endMs), ...marks.map(ms => ms ?? 0))
  /** @param {number} ms */
  const x = ms => ((ms - from) / Math.max(1, to - from)) * (pictureWide - 4) + 2
  const placed = inLanes(windows)
  const lanes = Math.max(...placed.map(({ lane }) => lane)) + 1
  const laneHeight = (pictureHigh - 24) / lanes
  const most = Math.max(...windows.map(({ groups }) => groups), 1)
  const bars = placed.map(({ window, lane }) => {
    const high = Math.max(2, (laneHeight - 3) * (window.groups / most))
    const y = pictureHigh - 4 - lane * laneHeight - high
    const wide = Math.max(1, x(window.endMs) - x(window.startMs) - 1)
    return svg('rect', { class: 'window', x: x(window.startMs), y, width: wide, height: high })
  })
  const lines = [
    ...(watermarkMs === null ? [] : [line('watermark', x(watermarkMs), 'watermark')]),
    ...(Number.isFinite(highestMs) ? [line('highest', x(highestMs), 'highest event time')] : []),
  ]
  const shown = openWindows === null || openWindows <= windows.length ? '' : ` The first ${windows.length} are shown.`
  const closes = watermarkMs === null ? 'There is no watermark yet.' : `The watermark is at ${showTime(watermarkMs)}.`
  const label = `${showCounted(openWindows ?? 0, 'open window')} of ${step} (state ${name}). ${closes}${shown}`
  const whole = chart({
    label,
    drawing: [...bars, ...lines.flat()],
    marks: windows.map(window => ({
      x: x(window.startMs),
      width: Math.max(2, x(window.endMs) - x(window.startMs)),
      text: `${showTime(window.startMs)} to ${showTime(window.endMs)}: ${showCounted(window.groups, 'group')}`,
    })),
    asText: table(
      ['start', 'end', 'groups'],
      windows.map(({ startMs, endMs, groups }) => [showTime(startMs), showTime(endMs), showCount(groups)]),
    ),
  })
  const axis = el('p', { class: 'axis' }, el('span', {}, showTime(from)), el('span', {}, showTime(to)))
  whole.querySelector('output')?.before(axis)
  return el('div', {}, el('p', {}, label), ...(why === null ? [] : [el('p', {}, why)]), legend(), whole)
}

function legend() {
  return el(
    'p',
    { class: 'legend' },
    ...[
      ['window', 'open window, as high as it has groups'],
      ['watermark', 'watermark'],
      ['highest', 'highest event time'],
    ].map(([kind = '', text = '']) => el('span', { class: `key ${kind}` }, text)),
  )
}

/** @param {string} kind @param {number} x @param {string} title */
function line(kind, x, title) {
  return svg('line', { class: kind, x1: x, x2: x, y1: 0, y2: pictureHigh }, svg('title', {}, title))
}

/** @param {readonly WindowFacts[]} windows */
function inLanes(windows) {
  const ends = /** @type {number[]} */ ([])
  return [...windows]
    .sort((a, b) => a.startMs - b.startMs)
    .map(window => {
      const free = ends.findIndex(end => end <= window.startMs)
      const lane = Math.min(free < 0 ? ends.length : free, lanesMax - 1)
      ends[lane] = window.endMs
      return { window, lane }
    })
}
