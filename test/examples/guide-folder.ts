import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { root, runMillrace } from '../cli/child.ts'

/** The folder of a reader who does what a guide of a sink says: its pipeline, and its two inputs. */
export interface GuideFolder extends AsyncDisposable {
  readonly folder: string
  readonly guide: string
  /** The backfill that the guide asks for, as arguments. */
  readonly backfill: readonly string[]
  /** What stands in the guide's blocks of a language, in their order. */
  blocks(language: string): readonly string[]
  /** A command of millrace in the folder, which must go well. What it printed. */
  done(...args: readonly string[]): Promise<string>
}

/**
 * @param name of the guide: 'delta'
 * @param said what the commands print, both streams, is added to it
 */
export async function openGuideFolder(
  name: string,
  env: Readonly<Record<string, string>> = {},
  said: string[] = [],
): Promise<GuideFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-guide-'))
  const guide = await readFile(join(root, `docs/guides/${name}.md`), 'utf8')
  const blocks = (language: string) =>
    [...guide.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text = '']) => text)
  const [example = ''] = blocks('ts')
  const [first = '', second = ''] = blocks('json')
  await mkdir(join(folder, 'input'))
  await writeFile(join(folder, 'pipeline.ts'), example)
  await writeFile(join(folder, 'input/a.jsonl'), first)
  await writeFile(join(folder, 'input/b.jsonl'), second)
  const [, given = ''] = /npx millrace (backfill .*)/.exec(guide) ?? []
  return {
    folder,
    guide,
    backfill: given.split(' '),
    blocks,
    async done(...args) {
      const { code, stdout, stderr } = await runMillrace(args, folder, env)
      said.push(stdout, stderr)
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr })
      return stdout
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}
