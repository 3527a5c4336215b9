import { describe, expect, test } from 'vitest'
import { readArguments } from '../../src/cli/options.ts'
import { outputPlaces } from '../../src/cli/named-places.ts'
import { runOptions } from '../../src/engine/options.ts'

const { output } = runOptions
const placesOf = (...args: readonly string[]) => outputPlaces('run', readArguments('run', { output }, args).output)

describe('--output', () => {
  test.each([
    [[], {}],
    [['--output=out'], { output: 'out' }],
    [['--output', 's3://bucket/out/?region=eu'], { output: 's3://bucket/out/?region=eu' }],
    [['--output', 'a=b/out'], { output: 'a=b/out' }],
    [['--output', 'flow-2=out'], { output: { 'flow-2': 'out' } }],
    [['--output=flow-1=a', '--output=flow-2=s3://b/?x=1'], { output: { 'flow-1': 'a', 'flow-2': 's3://b/?x=1' } }],
  ])('%j', (args, places) => {
    expect(placesOf(...args)).toEqual(places)
  })

  test.each([
    [
      ['--output=a', '--output=flow-1=b'],
      "--output: 'a' stands beside others; expected --output FLOW=ADDRESS of each.",
    ],
    [['--output=flow-1=a', '--output=flow-1=b'], '--output: flow-1 is given twice; expected once.'],
    [['--output='], '--output'],
  ])('%j is refused', (args, message) => {
    expect(() => placesOf(...args)).toThrow(message)
  })
})
