/** What a run leaves behind, as anybody can see it from outside. */
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { expect } from 'vitest'
import { decodeManifest, sha256 } from '../../checkpoints/codec.ts'
import { loadFile, textOf } from '../../checkpoints/files.ts'
import { ownFiles } from '../../checkpoints/manifest.ts'
import { outputPrefix } from '../../checkpoints/paths.ts'
import type { Head, Manifest } from '../../checkpoints/types.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { keysOf, noSleep, openCheckpoint } from '../checkpoints/fixtures.ts'
import { settingsOf } from '../../src/engine/state/engine-state.ts'
import { type Lab, quoted, type TextRow } from '../engine/harness.ts'

/** Checkpoint and output folders of one life of a pipeline. */
export interface Place {
  readonly checkpoint: string
  readonly outputs: readonly string[]
  /** The columns that tell results apart, where outputs are changes of them or have corrections beside them. */
  readonly changesOf?: readonly string[]
}

export interface Seen {
  /** Visible files of every output: name to hash of the bytes. */
  readonly files: readonly Readonly<Record<string, string>>[]
  /** Rows of every output, sorted; of changes, what they come to. */
  readonly rows: readonly (readonly TextRow[])[]
  readonly ledger: readonly TextRow[]
  readonly late: readonly TextRow[]
  readonly totals: Readonly<Record<string, number>>
  readonly epoch: number
  readonly term: number
}

/** Everything that a checkpoint and its outputs hold after a clean stop, verified: every file hashes, nothing is left to do. */
export async function lookAt(lab: Lab, place: Place): Promise<Seen> {
  const at = { checkpoint: place.checkpoint, output: '' }
  const head = await lab.head(at)
  const { manifest } = head
  expect(head.released, 'the last owner stopped cleanly').toBe(true)
  expect(manifest.unpublished, 'everything is published and taken').toEqual([])
  // Loading verifies each file (P10).
  for (const channel of Object.keys(manifest.channels)) await lab.channel(channel, at)
  const files = await Promise.all(place.outputs.map(visibleFiles))
  const snapshots = Object.values(settingsOf(manifest).snapshots ?? {})
  const named = [
    ...(await lab.channel('outputs', at)).map(({ key }) => String(key)),
    ...snapshots.flatMap(({ file, earlier }) => [file?.name, earlier ?? undefined].filter(name => name !== undefined)),
  ].toSorted()
  expect(files.flatMap(Object.keys).toSorted(), 'what is visible is what the checkpoint names, once each').toEqual(
    named,
  )
  for (const output of place.outputs) {
    const hidden = await keysOf(createDirectoryStore(output), outputPrefix)
    expect(hidden, 'nothing staged is left').toEqual([`${outputPrefix}owner.json`])
  }
  for (const { epoch, file } of snapshots) if (file) await expectSnapshot(lab, place, epoch, file.name)
  const ledger = (await lab.channel('ledger', at)).toSorted((a, b) => Number(a.seq) - Number(b.seq))
  const objects = ledger.filter(row => row.outcome === 'read').map(row => `${row.source} ${row.key} ${row.e_tag}`)
  expect(new Set(objects).size, 'an identity counts once for each source (I5)').toBe(objects.length)
  expect(ledger.map(({ seq }) => Number(seq))).toEqual(ledger.map((_, i) => i + 1))
  return {
    files,
    rows: await Promise.all(
      place.outputs.map(async output => sorted(latest(await lab.rows({ ...at, output }), place.changesOf))),
    ),
    ledger,
    late: sorted(await lab.channels('late-', at)),
    totals: manifest.engine.totals,
    epoch: manifest.epoch,
    term: head.term,
  }
}

/** A snapshot of one output's results is what its changes come to after an epoch. */
async function expectSnapshot(lab: Lab, { outputs, changesOf }: Place, epoch: number, name: string): Promise<void> {
  const [output = ''] = outputs
  const changes = (await lab.rows({ checkpoint: '', output })).filter(({ _epoch }) => Number(_epoch) <= epoch)
  const rows = await lab.sql(`SELECT * FROM read_parquet(${quoted(join(output, name))})`)
  expect(sorted(rows), `${name} has all results of its epoch`).toEqual(sorted(latest(changes, changesOf)))
}

/** Visible files of an output folder: name to hash of the bytes. */
export async function visibleFiles(output: string): Promise<Record<string, string>> {
  const entries = await readdir(output, { withFileTypes: true, recursive: true }).catch(
    (error: NodeJS.ErrnoException) => {
      // Its process died before it came to its output.
      if (error.code === 'ENOENT') return []
      throw error
    },
  )
  // Hidden names are the store's own; `_millrace` is looked at by itself.
  const names = entries
    .filter(entry => entry.isFile() && !entry.name.startsWith('.millrace-'))
    .map(({ parentPath, name }) => relative(output, join(parentPath, name)))
    .filter(name => !/^(_millrace|\.millrace-[^/]*)\//.test(name))
  const hash = async (name: string) => [name, sha256(await readFile(join(output, name)))] as const
  return Object.fromEntries(await Promise.all(names.map(hash)))
}

/** What changes come to, and rows that were given once before them; where nothing changes, the rows as they are. */
function latest(rows: readonly TextRow[], key: Place['changesOf']): readonly TextRow[] {
  if (key === undefined) return rows
  const view = new Map<string, TextRow>()
  for (const row of rows.toSorted((a, b) => Number(a._epoch ?? 0) - Number(b._epoch ?? 0))) {
    const { _op, _epoch, ...result } = row
    const told = JSON.stringify(key.map(name => result[name]))
    if (_op === 'delete') view.delete(told)
    else view.set(told, result)
  }
  return [...view.values()]
}

function sorted(rows: readonly TextRow[]): TextRow[] {
  const keyed = rows.map(row => [JSON.stringify(row), row] as const)
  return keyed.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, row]) => row)
}

/** The same cut: the same bytes under the same names, and the same record of them. */
export function expectSame(found: Seen, straight: Seen, where: string): void {
  expect(found.files, where).toEqual(straight.files)
  expect(found.ledger, where).toEqual(straight.ledger)
  expect(found.late, where).toEqual(straight.late)
  expect(found.totals, where).toEqual(straight.totals)
}

/** Another cut: the same rows, late ones included, in other files (I11). */
export function expectSameRows(found: Seen, straight: Seen, where: string): void {
  const uncut = (row: TextRow): TextRow => ({ ...row, epoch: null })
  const totals = { ...found.totals, epochs: straight.totals.epochs }
  expect(found.rows, where).toEqual(straight.rows)
  expect(found.late, where).toEqual(straight.late)
  expect(found.ledger.map(uncut), where).toEqual(straight.ledger.map(uncut))
  expect(totals, where).toEqual(straight.totals)
}

/** What must hold at any moment, whoever died when. */
export interface Glimpse {
  readonly head: Head | undefined
  /** Visible files by name; names are used once over all outputs. */
  readonly visible: Readonly<Record<string, string>>
}

/**
 * Checks the invariants that hold at every moment: what HEAD and the retained manifests reach exists and hashes (I2, I7),
 * nothing is visible that is not committed, whole and right (I6), and nothing went back since `before` (I1).
 */
export async function expectWhole(
  lab: Lab,
  place: Place,
  straight: Seen,
  before: Glimpse | undefined,
  where: string,
): Promise<Glimpse> {
  const store = createDirectoryStore(place.checkpoint)
  const head = await openCheckpoint(store, lab.root, 'observer').readHead()
  if (head) {
    await expectReaches(lab, place, head.manifest)
    for (const { name } of head.manifest.retained) {
      const copy = await store.get(name)
      if (typeof copy === 'string') throw new Error(`${where}: ${name} is ${copy}`)
      await expectReaches(lab, place, decodeManifest(copy.body, name))
    }
  }
  const visible: Record<string, string> = {}
  for (const output of place.outputs) Object.assign(visible, await visibleFiles(output))
  const right = Object.assign({}, ...straight.files) as Readonly<Record<string, string>>
  for (const [name, hash] of Object.entries(visible)) {
    expect(hash, `${where}: ${name} (I6)`).toBe(right[name])
    const epoch = Number(/(?:^|\/)part-(\d+)-/.exec(name)?.[1])
    expect(epoch, `${where}: ${name} is visible (I6)`).toBeLessThanOrEqual(head?.manifest.epoch ?? 0)
  }
  if (before) {
    expect(head?.term ?? 0, `${where} (I1)`).toBeGreaterThanOrEqual(before.head?.term ?? 0)
    expect(head?.manifest.epoch ?? 0, `${where} (I1)`).toBeGreaterThanOrEqual(before.head?.manifest.epoch ?? 0)
    expect(visible, where).toMatchObject(before.visible)
  }
  return { head, visible }
}

async function expectReaches(lab: Lab, place: Place, manifest: Manifest): Promise<void> {
  const to = join(lab.root, 'reached')
  const store = createDirectoryStore(place.checkpoint)
  for (const file of ownFiles(manifest)) if (!textOf(file, file.name)) await loadFile(store, file, to, noSleep)
  const staged = manifest.unpublished.filter(({ at }) => at === 'sink').flatMap(({ files }) => files)
  for (const file of staged) {
    const outputs = place.outputs.map(output => createDirectoryStore(output))
    // Its name is in one of the outputs' stores.
    const tried = await Promise.allSettled(outputs.map((output, i) => loadFile(output, file, `${to}-${i}`, noSleep)))
    if (tried.every(({ status }) => status === 'rejected')) throw new Error(`${file.name} is in no output`)
  }
}
