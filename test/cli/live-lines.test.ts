import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { createLiveLines, type DrawLines } from '../../src/cli/live-lines.ts'
import { emulateScreen } from './screen.ts'

function open(columns: number, rows = 10, isColoured = false) {
  const screen = emulateScreen(columns, rows)
  const [stdout, stderr] = [screen.openStream(), screen.openStream()]
  const stopped: string[] = []
  const process = Object.assign(new EventEmitter(), {
    pid: 7,
    kill: (pid: number, signal: string) => stopped.push(`${signal} ${pid}`) > 0,
  })
  const live = createLiveLines({ screen: stderr as never, others: [stdout as never], isColoured, process })
  return { screen, stdout, stderr, live, process, stopped }
}

const two: DrawLines = columns => [[`of ${columns} columns`], ['second']]

describe('lines that stay below what is written', () => {
  test('whoever writes to one of the streams writes above them, and all of it stays whole', async () => {
    const { screen, stdout, stderr, live } = open(30)
    stderr.write('begin\n')
    live.show(two)
    expect(await screen.lines()).toEqual(['begin', 'of 30 columns', 'second'])
    stderr.write('a\n')
    stdout.write('b\nc\n')
    expect(await screen.lines()).toEqual(['begin', 'a', 'b', 'c', 'of 30 columns', 'second'])
    live.show(() => [['other'], ['lines']])
    expect(await screen.lines()).toEqual(['begin', 'a', 'b', 'c', 'other', 'lines'])
    live.hide()
    expect(await screen.lines()).toEqual(['begin', 'a', 'b', 'c'])
    expect(await screen.cursor()).toEqual({ column: 0, line: 4 })
  })

  test('also where the screen scrolls, and lines above are longer than it is wide', async () => {
    const { screen, stderr, live } = open(20, 4)
    live.show(two)
    const texts = Array.from({ length: 30 }, (_, index) => `line ${index} ${index % 7 === 0 ? 'long '.repeat(8) : ''}`)
    for (const text of texts) stderr.write(`${text}\n`)
    const lines = await screen.lines()
    expect(lines.slice(-2)).toEqual(['of 20 columns', 'second'])
    live.hide()
    const rows = texts.flatMap(text => text.match(/.{1,20}/g) ?? []).map(line => line.trimEnd())
    expect(await screen.lines()).toEqual(rows)
  })

  test('a line that is not at its end waits alone', async () => {
    const { screen, stdout, live } = open(30)
    live.show(two)
    for (const dot of ['.', '', '.']) stdout.write(dot)
    live.show(two)
    expect(await screen.lines()).toEqual(['..'])
    stdout.write('.\n')
    expect(await screen.lines()).toEqual(['...', 'of 30 columns', 'second'])
  })

  test('Bytes are text, too', async () => {
    const { screen, stdout, live } = open(30)
    live.show(two)
    stdout.write(Buffer.from('a') as never)
    expect(await screen.lines()).toEqual(['a'])
    stdout.write(Buffer.from('\n') as never)
    expect(await screen.lines()).toEqual(['a', 'of 30 columns', 'second'])
  })

  test('the streams are what they were afterwards', async () => {
    const { stdout, stderr, live, process, screen } = open(30)
    const own = [stdout.write, stderr.write]
    live.show(two)
    expect([stdout.write, stderr.write]).not.toEqual(own)
    live.hide()
    expect([stdout.write, stderr.write]).toEqual(own)
    expect([...process.eventNames(), ...stderr.eventNames()]).toEqual([])
    live.hide()
    stderr.write('end\n')
    expect(await screen.lines()).toEqual(['end'])
  })
})

describe('they follow the size of the terminal and never wrap', () => {
  const long: DrawLines = columns => [['x'.repeat(columns * 2)], [`注文${'文'.repeat(columns)}`]]

  test.each([
    [20, 'x'.repeat(18), '注文文文文文文文文'],
    [100, 'x'.repeat(98), `注${'文'.repeat(48)}`],
    [7, 'xxxxx', '注文'],
    [3, 'x', ''],
  ])('from 60 to %i columns and back', async (columns, first, second) => {
    const { screen, stderr, live } = open(60)
    stderr.write('a\n')
    live.show(long)
    const before = await screen.lines()
    screen.resize(columns, 10)
    expect(await screen.lines()).toEqual(['a', `${first}…`, `${second}…`])
    stderr.write('b\n')
    expect(await screen.lines()).toEqual(['a', 'b', `${first}…`, `${second}…`])
    screen.resize(60, 10)
    expect(await screen.lines()).toEqual(['a', 'b', ...before.slice(1)])
  })

  test('to one column, to a screen of two lines, and back; nothing is left behind', async () => {
    const { screen, stderr, live } = open(60, 10)
    for (const text of 'abcdefghijkl') stderr.write(`${text}\n`)
    live.show(long)
    for (const [columns, rows] of [
      [1, 10],
      [60, 2],
      [20, 30],
      [60, 5],
    ] as const) {
      await screen.lines()
      screen.resize(columns, rows)
    }
    live.hide()
    expect(await screen.lines()).toEqual([...'abcdefghijkl'])
  })

  test('a sign that is wider than is known here is cut by the terminal', async () => {
    const { screen, live } = open(10)
    // Thai vowels, wider here than there, and the other way round by an escape that is shown.
    live.show(() => [['กำ'.repeat(30)], ['\u001b[5C'.repeat(9)]])
    expect((await screen.lines()).length).toBe(2)
  })

  test('on a screen of two lines one is left for the log', async () => {
    const { screen, stderr, live } = open(20, 2)
    live.show(two)
    stderr.write('a\nb\n')
    expect(await screen.lines()).toEqual(['a', 'b', 'of 20 columns'])
  })
})

test('text of a name is shown and obeyed by nobody', async () => {
  const { screen, live } = open(60)
  live.show(() => [['a\u001b[2J\u0007\r\nb'], ['\u009b31mred']])
  expect(await screen.lines()).toEqual(['a\\u001b[2J\\u0007\\u000d\\u000ab', '\\u009b31mred'])
})

test('colours are there where they are wanted, and change no text', async () => {
  const draw: DrawLines = () => [['late ', { text: 'bad 3', as: 'warning' }], [{ text: 'second', as: 'faint' }]]
  const plain = open(30)
  plain.live.show(draw)
  const coloured = open(30, 10, true)
  coloured.live.show(draw)
  expect(await coloured.screen.lines()).toEqual(await plain.screen.lines())
  expect(await plain.screen.colourOf('bad 3')).toBe(-1)
  expect(await coloured.screen.colourOf('bad 3')).toBe(3)
  expect(await coloured.screen.colourOf('late')).toBe(-1)
})

describe('the process', () => {
  test('leaves nothing behind when it ends', async () => {
    const { screen, stderr, live, process } = open(30)
    live.show(two)
    process.emit('exit')
    stderr.write('last words\n')
    expect(await screen.lines()).toEqual(['last words'])
  })

  test('a warning of Node is written around the streams, to a line of its own', async () => {
    const { screen, live, process } = open(30)
    const raw = screen.openStream()
    process.on('warning', () => raw.write('(node:1) Warning: old\n'))
    live.show(two)
    process.emit('warning')
    expect(await screen.lines()).toEqual(['(node:1) Warning: old'])
    live.show(two)
    expect(await screen.lines()).toEqual(['(node:1) Warning: old', 'of 30 columns', 'second'])
  })

  test('that is stopped by Ctrl-Z clears them for the shell, and draws them when it goes on', async () => {
    const { screen, live, process, stopped } = open(30)
    const shell = screen.openStream()
    live.show(two)
    process.emit('SIGTSTP')
    expect(stopped).toEqual(['SIGSTOP 7'])
    shell.write('$ fg\n')
    process.emit('SIGCONT')
    expect(await screen.lines()).toEqual(['$ fg', 'of 30 columns', 'second'])
  })
})
