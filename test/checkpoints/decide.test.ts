import { describe, expect, test } from 'vitest'
import {
  decideClaim,
  decideCollection,
  decideCompaction,
  decideInlineFile,
  decideInlineMerge,
  decideInlineWaiting,
  decideRetain,
  headBytesMax,
  inlineFileBytesMax,
  inlineDeliveriesBytesMax,
  inlineOutputBytesMax,
  manifestBytesMax,
  mergedSpan,
  settleWrite,
  takeoverMs,
} from '../../checkpoints/decide.ts'
import { garbageKey } from '../../checkpoints/manifest.ts'
import type { Part } from '../../checkpoints/types.ts'
import { emptyHead, emptyManifest, waitsHere, waitsThere } from './fixtures.ts'

function part(name: string, bytes: number, epochs: readonly [number, number] = [1, 1]): Part {
  return { name, bytes, rows: 1, sha256: '', epochs }
}

describe('decideClaim', () => {
  const from = emptyHead(4, 'p')
  const live = { isGone: false, unchangedMs: takeoverMs - 1 }

  test('begins an absent checkpoint with term 1', () => {
    expect(decideClaim(undefined, live)).toEqual({ is: 'birth', term: 1 })
  })

  test('waits for a live owner (P5)', () => {
    expect(decideClaim(from, live)).toEqual({ is: 'wait', owner: from.owner })
  })

  test.each([
    { name: 'asked to', head: from, seen: undefined },
    { name: 'the owner released it', head: { ...from, released: true }, seen: live },
    { name: 'its process is gone', head: from, seen: { ...live, isGone: true } },
    { name: 'HEAD has not changed for long', head: from, seen: { ...live, unchangedMs: takeoverMs } },
  ])('takes over with the next term when $name (P5, I1)', ({ head, seen }) => {
    expect(decideClaim(head, seen)).toEqual({ is: 'claim', term: 5, from: head })
  })
})

describe('settleWrite (P6)', () => {
  const write = { putId: 'mine', term: 3, ifMatch: 'before' }

  test.each([
    ['my putId', emptyHead(3, 'mine'), 'after', 'committed'],
    ['HEAD as it was', emptyHead(3, 'previous'), 'before', 'resend'],
    ['a higher term', emptyHead(4, 'theirs'), 'after', 'fenced'],
    ['my term by another put', emptyHead(3, 'foreign'), 'after', 'regressed'],
    ['a lower term', emptyHead(2, 'old'), 'after', 'regressed'],
  ])('%s is settled', (_what, head, eTag, is) => {
    expect(settleWrite(write, { head, eTag })).toMatchObject({ is })
  })

  test('no HEAD at all is a regression (I1)', () => {
    expect(settleWrite(write, undefined)).toMatchObject({ is: 'regressed' })
  })
})

describe('decideInlineMerge (P3)', () => {
  const row = (name: string, bytes: number): Part => ({
    ...part(name, bytes),
    text: { columns: { a: 'VARCHAR' }, rows: [['x'.repeat(bytes)]] },
  })
  const manifest = {
    ...emptyManifest(),
    channels: {
      ledger: [row('a', 20_000), row('b', 20_000)],
      outputs: [row('c', 1_000), part('d', 1e6)],
      'segment-1': [row('e', 120_000)],
      'segment-2': [row('f', 100)],
      quarantine: [part('g', 1e6), part('h', 1e6)],
    },
  }

  test('merges nothing while HEAD fits; then the channels with the most bytes in it, until it is half full', () => {
    expect(decideInlineMerge(manifest, headBytesMax)).toEqual([])
    expect(decideInlineMerge(manifest, headBytesMax + 1)).toEqual(['segment-1', 'ledger'])
  })

  test('takes single rows too, and none that would take no less as a file', () => {
    const rest = { ...manifest, channels: { ...manifest.channels, 'segment-1': [row('e', 500)] } }
    expect(decideInlineMerge(rest, manifestBytesMax + 1)).toEqual(['ledger', 'outputs', 'segment-1'])
  })

  test('waits for more where the manifest is a file anyhow, as each merge costs a write', () => {
    const wide = { ...manifest, channels: { ledger: manifest.channels.ledger } }
    expect(decideInlineMerge(wide, headBytesMax + 1)).toEqual([])
    expect(decideInlineMerge(wide, manifestBytesMax)).toEqual([])
    expect(decideInlineMerge(wide, manifestBytesMax + 1)).toEqual(['ledger'])
  })
})

describe('what rides in HEAD as a file (P3)', () => {
  const inline = (bytes: number) => ({ ...part('n', bytes), inline: 'AA==' })

  test('is small, and together within a limit of its kind', () => {
    expect(decideInlineWaiting([], 'sink')).toBe(inlineOutputBytesMax)
    const waiting = (...bytes: readonly number[]) => waitsThere('o', 1, ...bytes.map(inline))
    expect(decideInlineWaiting([waiting(inlineOutputBytesMax - 100)], 'sink')).toBe(100)
    expect(decideInlineWaiting([waiting(inlineOutputBytesMax, 1)], 'sink')).toBe(0)
    // What waits in the checkpoint has room of its own.
    const both = [waiting(inlineOutputBytesMax), waitsHere('p', 1, inline(1_000))]
    expect(decideInlineWaiting(both, 'checkpoint')).toBe(inlineDeliveriesBytesMax - 1_000)
    expect(decideInlineFile({ channels: { a: [part('file', 1e9)] } })).toBe(inlineFileBytesMax)
    expect(decideInlineFile({ channels: { a: [inline(100_000)], b: [inline(96_000)] } })).toBe(608)
  })
})

describe('decideRetain (P3)', () => {
  test.each([
    [99, [], false, false],
    [100, [], false, true],
    [199, [100], false, false],
    [200, [100], false, true],
    [450, [100, 300], false, true],
    [101, [100], true, true],
    [100, [100], true, false],
    [0, [], true, false],
  ])('epoch %i after copies %j, released: %s -> %s', (epoch, copies, released, retain) => {
    const retained = copies.map(e => ({ name: `manifests/${e}`, epoch: e }))
    expect(decideRetain({ ...emptyManifest(epoch), retained }, released)).toBe(retain)
  })
})

describe('decideCollection (P12)', () => {
  const garbage = [
    { store: 'checkpoint', name: 'a', droppedAt: 1 },
    { store: 'checkpoint', name: 'b', droppedAt: 2 },
    { store: 'revenue', name: 'a', droppedAt: 2 },
    { store: 'elsewhere', name: 'c', droppedAt: 2 },
  ]

  test('takes what nothing reaches, in stores that are at hand (I7)', () => {
    const reachable = new Set([garbageKey({ store: 'checkpoint', name: 'b' })])
    const due = decideCollection({ ...emptyManifest(), garbage }, reachable, new Set(['checkpoint', 'revenue']))
    expect(due).toEqual([garbage[0], garbage[2]])
  })
})

describe('decideCompaction (P3)', () => {
  const KIB = 1024

  test('waits until a tier has ten parts', () => {
    expect(decideCompaction(Array.from({ length: 9 }, (_, i) => part(`${i}`, 20 * KIB)))).toEqual([])
  })

  test('merges one tier at a time, the smallest first, and no inline files', () => {
    const small = Array.from({ length: 10 }, (_, i) => part(`s${i}`, (20 + i) * KIB))
    const large = Array.from({ length: 12 }, (_, i) => part(`l${i}`, (200 + i) * KIB))
    const inline = { ...part('inline', 10 * KIB), inline: 'AA==' }
    expect(decideCompaction([...large, inline, ...small])).toEqual(small)
    expect(decideCompaction([...large, inline, ...small.slice(1)])).toEqual(large)
  })

  test('keeps the number of parts logarithmic over 10,000 epochs', () => {
    let parts: readonly Part[] = []
    let rewritten = 0
    for (let epoch = 0; epoch < 10_000; epoch++) {
      parts = [...parts, part(`${epoch}`, 17 * KIB)]
      for (let due = decideCompaction(parts); due.length > 0; due = decideCompaction(parts)) {
        const bytes = due.reduce((sum, p) => sum + p.bytes, 0)
        rewritten += bytes
        parts = [...parts.filter(p => !due.includes(p)), part(`merged ${epoch}`, bytes)]
      }
    }
    expect(parts.length).toBeLessThanOrEqual(5 * 9)
    // Each row is rewritten about once a tier.
    expect(rewritten / (10_000 * 17 * KIB)).toBeLessThanOrEqual(5)
  })
})

describe('mergedSpan', () => {
  test('spans all epochs, and lives as long as its last row', () => {
    const parts = [
      { ...part('a', 1, [3, 4]), aliveToUs: '9007199254740993' },
      { ...part('b', 1, [1, 2]), aliveToUs: '9007199254740992' },
    ]
    expect(mergedSpan(parts)).toEqual({ epochs: [1, 4], aliveToUs: '9007199254740993' })
  })

  test('never dies when one part never dies (P11)', () => {
    expect(mergedSpan([{ ...part('a', 1), aliveToUs: '5' }, part('b', 1)])).toEqual({ epochs: [1, 1] })
  })
})
