import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Lab, openLab } from '../../engine/harness.ts'
import { lookAt, type Place } from '../../golden/seen.ts'
import {
  type CorpusPipeline,
  corpusPipelines,
  corpusRoot,
  corpusStates,
  type Expected,
  millraceCall,
  placeIn,
  setInputTimes,
} from './corpus.ts'

const commits = (await readdir(corpusRoot, { withFileTypes: true }))
  .filter(entry => entry.isDirectory() && entry.name !== 'pipelines')
  .map(({ name }) => name)

describe.each(commits)('checkpoints that commit %s wrote (P14)', commit => {
  let lab: Lab
  let scratch: string
  let inputs: string
  beforeAll(async () => {
    lab = await openLab()
    scratch = await mkdtemp(join(tmpdir(), 'millrace-corpus-'))
    inputs = join(scratch, 'inputs')
    await cp(join(corpusRoot, commit, 'inputs'), inputs, { recursive: true })
    for (const folder of await readdir(inputs)) await setInputTimes(join(inputs, folder))
  })
  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
    await rm(scratch, { recursive: true })
  })

  const kept = corpusPipelines.filter(({ name }) => existsSync(join(corpusRoot, commit, name)))
  const cases = kept.flatMap(pipeline => corpusStates.map(state => ({ pipeline, name: pipeline.name, state })))
  test.each(cases)('$name, $state: goes on to the right end, and its replay agrees', async ({ pipeline, state }) => {
    const folder = join(scratch, `${pipeline.name}-${state}`)
    await cp(join(corpusRoot, commit, pipeline.name, state), folder, { recursive: true })
    const place = placeIn(folder, pipeline)

    // The owner of a killed one is of another machine, which nobody can ask whether it lives.
    const ran = millrace('backfill', pipeline, place, '--takeover')
    if (state === 'sealed') {
      expect(ran.status, ran.stderr).toBe(2)
      expect(ran.stderr).toContain('is sealed')
    } else {
      expect(ran.status, ran.stderr).toBe(0)
      const { rows, late, totals, ledger } = await lookAt(lab, place)
      expect(ledger.filter(({ is }) => is === 'apply')).toHaveLength(pipeline.correctedBy ? 2 : 0)
      // A run that was stopped half-way has the same entries in other epochs.
      const expected = JSON.parse(
        await readFile(join(corpusRoot, commit, pipeline.name, 'expected.json'), 'utf8'),
      ) as Expected
      expect(rows).toEqual(expected.rows)
      expect(late).toEqual(expected.late)
      // What later code counts besides is 0 here.
      expect({ ...totals, epochs: 0 }).toMatchObject({ ...expected.totals, epochs: 0 })
    }
    const verified = millrace('verify', pipeline, place)
    expect(verified.status, verified.stderr + verified.stdout).toBe(0)
  })

  function millrace(command: string, pipeline: CorpusPipeline, place: Place, ...more: readonly string[]) {
    const { file, args, env } = millraceCall(command, pipeline, place, join(inputs, pipeline.input))
    const { NODE_OPTIONS: _, ...clean } = process.env
    return spawnSync(file, [...args, ...more], { env: { ...clean, ...env }, encoding: 'utf8' })
  }
})
