/** Signs that take two columns of a terminal: those of East Asian scripts, full-width forms and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u

/** Made by the first text that needs it: it takes as long as a thirtieth of a start. */
let segmenter: Intl.Segmenter | undefined
function signsOf(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' })
  return segmenter.segment(text)
}

/** Columns that a text takes on a terminal; it has no control characters. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length
  let width = 0
  for (const { segment } of signsOf(text)) width += wide.test(segment) ? 2 : 1
  return width
}

/**
 * A text in lines of at most so many columns, broken between words, and inside those that are longer.
 *
 * @param columns at least 2, which the widest sign takes
 */
export function wrapText(text: string, columns: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const next = line === '' ? word : `${line} ${word}`
    if (widthOf(next) <= columns) {
      line = next
      continue
    }
    if (line !== '') lines.push(line)
    const pieces = cutText(word, columns)
    lines.push(...pieces.slice(0, -1))
    line = pieces.at(-1) ?? ''
  }
  return [...lines, line]
}

function cutText(text: string, columns: number): readonly string[] {
  const pieces = ['']
  for (const { segment } of signsOf(text)) {
    const last = pieces.at(-1) ?? ''
    if (widthOf(last + segment) <= columns) pieces[pieces.length - 1] = last + segment
    else pieces.push(segment)
  }
  return pieces
}
