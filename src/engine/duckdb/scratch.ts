import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type Clock, systemClock } from '../../core/clock.ts'
import { configError } from '../../core/errors.ts'
import { isOwnerGone, isSameProcess, ownerName } from '../../core/owner.ts'

/** A throw-away folder of this process. */
export interface Scratch {
  readonly path: string
  /** Removes it. */
  close(): Promise<void>
}

/** How often a live process shows that its folder is in use. */
const beatMs = 10 * 60_000
/** Silent for longer, a folder whose process cannot be asked about is taken for abandoned: 144 missed beats. */
const silentMsMax = 24 * 3_600_000
/** In the folder; its time tells when it was last in use. */
const beatFile = 'in-use'

/** The form of a folder's name, as a pattern of a RegExp: whose it is, and six characters by chance. */
export const scratchName = String.raw`millrace-(\w+(?:\.\w*){6})-[A-Za-z0-9]{6}`
const wholeName = new RegExp(`^${scratchName}$`)

/** Folders of this process; it may have several. */
const made = new Set<string>()

/**
 * A fresh throw-away folder. A killed run leaves its own behind: those are removed whose process has ended, as far as
 * the kernel tells, and those that have been silent for a day where it does not (another container or machine, one that
 * was started again). A process number alone proves nothing: containers that share a folder number their processes
 * alike.
 *
 * @param parent default: the system's temporary folder
 */
export async function openScratch(parent: string = tmpdir(), clock: Clock = systemClock): Promise<Scratch> {
  if (/[*?[\]{}]/.test(parent)) throw configError('spill', parent, 'a folder without *, ?, [, ], { or } in its path')
  await mkdir(parent, { recursive: true })
  const mine = ownerName(clock)
  const path = await mkdtemp(join(parent, `millrace-${labelOf(mine)}-`))
  made.add(basename(path))
  const closed = new AbortController()
  const remove = async (): Promise<void> => {
    closed.abort()
    // What ran ahead may still be making a file: the folder is then not empty, and is gone through again.
    await rm(path, { recursive: true, force: true, maxRetries: 10 })
    made.delete(basename(path))
  }
  try {
    const beat = () => writeFile(join(path, beatFile), '.')
    await beat()
    await sweep(parent, mine, await lastUseMs(path))
    void keepBeating(beat, clock, closed.signal)
    return { path, close: remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function keepBeating(beat: () => Promise<void>, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    await clock.sleep(beatMs, signal)
    if (signal.aborted) return
    // A disk that is full now may have room again; a day of missed beats costs this process its folder at most.
    await beat().catch(() => {})
  }
}

/** @param nowMs by the clock of the folder itself, which stamps the beats too */
async function sweep(parent: string, mine: string, nowMs: number): Promise<void> {
  const own = ownerOf(`millrace-${labelOf(mine)}-000000`) as string
  for (const name of await readdir(parent)) {
    const owner = ownerOf(name)
    if (owner === undefined || made.has(name)) continue
    const path = join(parent, name)
    const isGone = isOwnerGone(owner, own) && !isSameProcess(owner, own)
    // Another start may be removing it as well.
    if (isGone || nowMs - (await lastUseMs(path).catch(() => nowMs)) > silentMsMax)
      await rm(path, { recursive: true, force: true }).catch(() => {})
  }
}

async function lastUseMs(path: string): Promise<number> {
  const { mtimeMs } = await stat(join(path, beatFile)).catch(() => stat(path))
  return mtimeMs
}

/** An owner as a part of a folder's name. */
function labelOf(owner: string): string {
  return owner
    .split('/')
    .map(field => field.replace(/[^A-Za-z0-9]/g, '_'))
    .join('.')
}

/**
 * The owner that a folder's name tells, with its host as the label has it; undefined for a folder of somebody else's.
 */
function ownerOf(name: string): string | undefined {
  const label = wholeName.exec(name)?.[1]
  return label?.replaceAll('.', '/')
}
