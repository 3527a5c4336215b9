/**
 * Text of keys, values and messages as a person may read it: control characters as `\uXXXX`, so that no text from
 * outside speaks to a terminal.
 *
 * @param kept control characters that stay: '\n' for text of several lines
 */
export function visible(text: string, kept = ''): string {
  return text.replaceAll(/\p{Cc}/gu, char =>
    kept.includes(char) ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
