/** Signs that act on what is around them: on a terminal, on lines, or on the order in which text is shown. */
export const acting = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/**
 * Text of keys, values and messages as a person may read it: control characters as `\uXXXX`, those that turn the
 * direction of text among them. So no text from outside speaks to a terminal, or looks like another one.
 *
 * @param kept control characters that stay: '\n' for text of several lines
 */
export function visible(text: string, kept = ''): string {
  return text.replaceAll(acting, char =>
    kept.includes(char) ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
