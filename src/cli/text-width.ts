/** Signs that take two columns of a terminal: those of East Asian scripts, full-width forms and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u

/** One that asks to be drawn as a picture. */
const picture = /\ufe0f/

/** Marks without a sign to stand on, joiners and the like: the cursor stays where it is. A soft hyphen is shown. */
const widthless = /^(?!\u00ad)[\p{Mn}\p{Me}\p{Cf}]+$/u

/** Several of them may be one sign, as in Devanagari. */
const letter = /\p{L}/gu

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
  for (const { segment } of signsOf(text)) width += widthOfSign(segment)
  return width
}

/** Terminals disagree about a few. The wider one is taken, so that a line does not wrap. */
function widthOfSign(sign: string): number {
  if (widthless.test(sign)) return 0
  if (wide.test(sign) || picture.test(sign)) return 2
  return Math.max(1, sign.match(letter)?.length ?? 0)
}

/** A text with blanks up to so many columns; one that is wider stays as it is. */
export function padText(text: string, columns: number, side: 'left' | 'right' = 'right'): string {
  const blanks = ' '.repeat(Math.max(0, columns - widthOf(text)))
  return side === 'left' ? blanks + text : text + blanks
}

/** As much of a text as so many columns take; what is left out is shown by a dot-dot-dot of one column. */
export function shortenText(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text
  if (columns < 1) return ''
  let [shown, width] = ['', 1]
  for (const { segment } of signsOf(text)) {
    width += widthOfSign(segment)
    if (width > columns) break
    shown += segment
  }
  return `${shown}…`
}

/**
 * A text in lines of at most so many columns, broken between words, and inside those that are longer.
 *
 * @param text or its words, which may have blanks in them
 * @param columns at least 2, which the widest sign takes
 */
export function wrapText(text: string | readonly string[], columns: number): readonly string[] {
  const lines: string[] = []
  let line = ''
  for (const word of typeof text === 'string' ? text.split(' ') : text) {
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
