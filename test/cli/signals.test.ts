import { expect, test } from 'vitest'
import { startScript } from './child.ts'

/** Stands for a run: it ends by its drain when it may, else by its stop. */
const run = (drains: boolean) =>
  startScript(`
    import { listenForSignals } from 'src:cli/signals.ts'
    import { processTerminal } from 'src:cli/terminal.ts'
    const stopping = listenForSignals(processTerminal())
    const alive = setInterval(() => {}, 1000)
    const ended = await new Promise(resolve => {
      stopping.stop.addEventListener('abort', () => resolve('stopped'))
      if (${drains}) stopping.drain.addEventListener('abort', () => resolve('drained'))
      console.log('ready')
    })
    clearInterval(alive)
    stopping.close()
    console.log(ended)
    process.exitCode = stopping.exitCode() ?? 0
  `)

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('the first %s drains, says so, and counts as %i', async (signal, exitCode) => {
  const child = run(true)
  await child.says('ready')
  child.kill(signal)
  const { code, stdout, stderr } = await child.ended
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: 'ready\ndrained\n' })
  expect(stderr).toContain(`${signal}: finishing the epoch in flight`)
})

test.each([
  ['SIGTERM', 'SIGTERM', 143],
  ['SIGTERM', 'SIGINT', 130],
  ['SIGINT', 'SIGTERM', 143],
] as const)('%s, then %s stops with %i', async (first, second, exitCode) => {
  const child = run(false)
  await child.says('ready')
  child.kill(first)
  await child.says('finishing the epoch in flight')
  child.kill(second)
  const { code, stdout } = await child.ended
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: 'ready\nstopped\n' })
})

test('a SIGINT that npm repeats is one; a later one stops', async () => {
  const child = startScript(`
    import { listenForSignals } from 'src:cli/signals.ts'
    let clockMs = 0
    const terminal = { out() {}, err: text => process.stdout.write(text), interactive: false, columns: 80, nowMs: () => clockMs }
    const stopping = listenForSignals(terminal)
    const told = () => console.log(stopping.drain.aborted, stopping.stop.aborted)
    for (clockMs of [0, 5, 500]) { process.emit('SIGINT', 'SIGINT'); told() }
    process.exit(stopping.exitCode())
  `)
  const { code, stdout } = await child.ended
  expect(stdout.match(/^(true|false) .*/gm)).toEqual(['true false', 'true false', 'true true'])
  expect(code).toBe(130)
})
