import { el, facts, table } from './dom.js'
import { showBytes, showCount, showCounted, showDuration, showTime } from './format.js'
/** @import { PageFacts } from '../facts.ts' */

/** What was set aside, by reason, with the command that shows it. @param {PageFacts} page */
export function asideCards({ aside, totals }) {
  const sums = totals
    ? `${showCounted(totals.late, 'late row')}, ${showCounted(totals.quarantinedRows, 'bad row')}, ` +
      `${showCounted(totals.setAside, 'object')} set aside over the life of the checkpoint.`
    : ''
  const cards = aside.map(({ what, reason, count, example, command }) =>
    el(
      'article',
      {},
      el('h3', {}, `${showCount(count)} ${count === 1 ? what.replace(/s$/, '') : what}`),
      el('p', {}, reason),
      example !== null && el('p', { class: 'quiet' }, `the first: ${example}`),
      commandOf(command),
    ),
  )
  return [el('p', {}, sums), cards.length > 0 && el('div', { class: 'cards' }, ...cards)]
}

/** @param {string} command */
function commandOf(command) {
  const button = el('button', { type: 'button' }, 'Copy')
  button.addEventListener('click', () => {
    // Beyond this machine a page without TLS has no clipboard: the text is selected instead.
    const said = navigator.clipboard?.writeText(command) ?? Promise.reject(new Error('no clipboard'))
    said.then(
      () => void (button.textContent = 'Copied'),
      () => document.getSelection()?.selectAllChildren(text),
    )
  })
  const text = el('code', { tabindex: 0 }, command)
  return el('div', { class: 'command' }, text, button)
}

/** @param {PageFacts} page */
export function sinkTable({ sinks }) {
  if (sinks.length === 0) return null
  return table(
    ['flow', 'sink', 'behind', 'waiting', 'held', 'tried again', 'place'],
    sinks.map(({ flow, kind, address, epochs, rows, bytes, retries, heldRows, heldMs }) => [
      flow,
      kind,
      epochs === 0 ? 'nothing' : showCounted(epochs, 'epoch'),
      epochs === 0 ? 'nothing' : `${showCounted(rows, 'row')}, ${showBytes(bytes)}`,
      heldRows === 0 ? 'nothing' : `${showCounted(heldRows, 'row')} for ${showDuration(heldMs)}`,
      retries === null ? '' : showCounted(retries, 'time'),
      address,
    ]),
  )
}

/** @param {PageFacts} page */
export function checkpointFacts({ checkpoint, process, states }) {
  const { address, epoch, term, owner, headBytes, headWrittenMs, bytes, files, commitAgeMs } = checkpoint
  const memory = process?.memory
  return [
    facts([
      ['place', address === '' ? 'not known yet' : address],
      ['owner', owner ?? 'nobody'],
      process && ['this process', process.why === null ? process.state : `${process.state}: ${process.why}`],
      term === null ? null : ['term', showCount(term)],
      epoch === null ? null : ['epoch', showCount(epoch)],
      bytes === null || files === null ? null : ['size', `${showBytes(bytes)} in ${showCounted(files, 'file')}`],
      headBytes === null ? null : ['HEAD', showBytes(headBytes)],
      headWrittenMs === null ? null : ['written', `${showTime(Math.floor(headWrittenMs / 1000) * 1000)} UTC`],
      commitAgeMs === null ? null : ['age', `last commit ${showDuration(commitAgeMs)} ago`],
      memory ? ['memory of DuckDB', `${showBytes(memory.usedBytes)} of ${showBytes(memory.limitBytes)}`] : null,
      memory ? ['spilled to disk', showBytes(memory.spillBytes)] : null,
    ]),
    states.length > 0 &&
      table(
        ['state', 'rows', 'bytes', 'open windows'],
        states.map(({ name, rows, bytes, openWindows }) => [
          name,
          showCount(rows),
          showBytes(bytes),
          openWindows === null ? '' : showCount(openWindows),
        ]),
      ),
  ]
}
