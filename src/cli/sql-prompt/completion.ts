/** What a word may become, and the word: as node:readline asks for it. */
export type Completed = [hits: string[], word: string]

const words = (
  'SELECT FROM WHERE GROUP BY ORDER LIMIT JOIN LEFT USING ON AND OR NOT NULL DISTINCT COUNT SUM DESCRIBE SUMMARIZE ' +
  'SHOW TABLES WITH'
).split(' ')

/**
 * Completes the last word of a line.
 *
 * @param names of views and columns
 * @param commands such as '.help', which stand at the beginning
 */
export function complete(line: string, names: Iterable<string>, commands: readonly string[]): Completed {
  if (/^\.\w*$/.test(line)) return [commands.filter(command => command.startsWith(line)), line]
  const [word = ''] = /[\w]*$/.exec(line) ?? []
  const isMeant = (name: string) => name.toLowerCase().startsWith(word.toLowerCase())
  const own = [...new Set(names)].filter(isMeant).toSorted()
  const isLower = word !== word.toUpperCase()
  const keywords = word === '' || line.startsWith('.') ? [] : words.filter(isMeant)
  return [[...own, ...keywords.map(keyword => (isLower ? keyword.toLowerCase() : keyword))], word]
}
