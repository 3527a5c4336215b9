import { showCount, showSeconds } from '../../core/quantity.ts'
import { behindText, waitText } from '../../engine/report/live.ts'
import type { Health } from '../monitor.ts'
import type { Mood, SinkFacts, SourceFacts } from './facts.ts'

export interface Told {
  readonly sentence: string
  readonly mood: Mood
}

/** How a live run does, in one sentence: 'follows s3://lake/trips/, nothing waits'. */
export function sentenceOfRun(
  health: Health,
  sources: readonly SourceFacts[],
  sinks: readonly SinkFacts[],
  commitAgeMs: number,
): Told {
  if (!health.isLive) return { sentence: `hangs: ${health.why}`, mood: 'ill' }
  if (health.state !== 'running')
    return { sentence: `${doing[health.state]}: ${health.why}`, mood: health.state === 'restarting' ? 'ill' : 'waits' }
  const behind = sinks.filter(({ epochs }) => epochs > 0)
  const what = [waitingText(sources), ...behind.map(behindText), `last commit ${showSeconds(commitAgeMs / 1000)} ago`]
  const isBehind = behind.length > 0 || (oldestMs(sources) ?? 0) >= behindMs
  return { sentence: `follows ${placesText(sources)}, ${what.join(', ')}`, mood: isBehind ? 'waits' : 'well' }
}

/** What waits for so long is more than a mini-batch that gathers. */
const behindMs = 60_000

const doing = {
  starting: 'starts',
  standby: 'stands by',
  running: 'follows',
  restarting: 'starts again',
  draining: 'ends',
  stopped: 'has ended',
} as const satisfies Record<Health['state'], string>

function placesText(sources: readonly SourceFacts[]): string {
  const [first, second, ...others] = sources.map(({ address, name }) => address || name)
  if (first === undefined) return 'its sources'
  if (second === undefined) return first
  return others.length === 0 ? `${first} and ${second}` : `${first} and ${showCount(others.length + 1)} others`
}

/** Null where nothing tells an age: SQS does not, of what waits there. */
function oldestMs(sources: readonly SourceFacts[]): number | null {
  const ages = sources.flatMap(({ inHand, backlog }) => [inHand?.oldestMs ?? [], backlog?.oldestMs ?? []].flat())
  return ages.length === 0 ? null : Math.max(...ages)
}

function waitingText(sources: readonly SourceFacts[]): string {
  const objects = sources.reduce((sum, { inHand }) => sum + (inHand?.objects ?? 0), 0)
  const messages = sources.reduce((sum, { backlog }) => sum + (backlog?.messages ?? 0), 0)
  const text = waitText({ objects, messages })
  const ageMs = oldestMs(sources)
  return objects + messages === 0 || ageMs === null ? text : `${showSeconds(ageMs / 1000)} behind, ${text}`
}
