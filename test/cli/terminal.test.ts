import { afterEach, describe, expect, test, vi } from 'vitest'
import { processTerminal } from '../../src/cli/terminal.ts'

const isTTY = { out: process.stdout.isTTY, err: process.stderr.isTTY }
afterEach(() => {
  vi.restoreAllMocks()
  Object.assign(process.stdout, { isTTY: isTTY.out })
  Object.assign(process.stderr, { isTTY: isTTY.err })
})

/** What the streams are given. */
function written(isTerminal: boolean, work: (terminal: ReturnType<typeof processTerminal>) => void): readonly string[] {
  const texts: string[] = []
  for (const stream of [process.stdout, process.stderr]) {
    Object.assign(stream, { isTTY: isTerminal, hasColors: () => false })
    vi.spyOn(stream, 'write').mockImplementation(text => texts.push(String(text)) > 0)
  }
  work(processTerminal())
  vi.restoreAllMocks()
  return texts
}

describe('what is written to a terminal', () => {
  const hostile = 'object a\u001b[2J\u0007\u009bm\r.parquet: bad\n\tnext\n'

  test('obeys no key, value or message: their control characters are shown', () => {
    const shown = 'object a\\u001b[2J\\u0007\\u009bm\\u000d.parquet: bad\n\tnext\n'
    expect(
      written(true, ({ out, err }) => {
        out(hostile)
        err(hostile)
        err('\r\u001b[2Kbar')
      }),
    ).toEqual([shown, shown, '\\u000d\\u001b[2Kbar'])
  })

  test('goes to a file as it is', () => {
    expect(written(false, ({ out }) => out(hostile))).toEqual([hostile])
  })
})
