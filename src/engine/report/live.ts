import { showCount, showCounted } from '../../core/quantity.ts'
import { visible } from '../../core/visible.ts'

// What a live process is about, in words: `millrace why --http` and the status page have them from here.

/** What a process says of its run. */
export interface LiveFacts {
  readonly pipeline: string
  /** 'running', 'standby' and the like. */
  readonly state: string
  /** What is missing, where something is. */
  readonly why?: string
  /** Absent before the process has a checkpoint. */
  readonly run?: {
    readonly checkpoint: string
    /** The last one that is committed. */
    readonly epoch: number
    /** Object versions on their way into the ledger: those of the epoch in flight and of the next ones. */
    readonly objects: number
    /** That announce objects and wait to be received, as far as the server tells. */
    readonly messages: number
    /** Committed epochs that a sink, or code that takes rows, does not have yet, by flow. */
    readonly behind: readonly { readonly flow: string; readonly epochs: number }[]
  }
}

/** '11 messages and 3 objects wait', 'nothing waits'. */
export function waitText({ objects, messages }: { readonly objects: number; readonly messages: number }): string {
  if (objects === 0 && messages === 0) return 'nothing waits'
  const waiting = [
    ...(messages > 0 ? [showCounted(messages, 'message')] : []),
    ...(objects > 0 ? [showCounted(objects, 'object')] : []),
  ]
  return `${waiting.join(' and ')} ${objects + messages === 1 ? 'waits' : 'wait'}`
}

/** 'the sink of flow-1 is 2 epochs behind' */
export function behindText({ flow, epochs }: { readonly flow: string; readonly epochs: number }): string {
  return `the sink of ${flow} is ${showCounted(epochs, 'epoch')} behind`
}

/** The same of one who asks for a pipeline and its checkpoint: what is in flight, what waits, which sink is away. */
export function liveText(
  url: string,
  facts: LiveFacts,
  asked: { readonly pipeline: string; readonly checkpoint: string },
): string {
  const who = `The process at ${visible(url)}`
  if (facts.pipeline !== asked.pipeline)
    return `${who} runs pipeline '${visible(facts.pipeline)}', not ${asked.pipeline}, so nothing is told of it.`
  const { run, state, why } = facts
  if (!run)
    return `${who} has no checkpoint yet: it is ${visible(state)}${why === undefined ? '' : `, as ${visible(why)}`}.`
  if (run.checkpoint !== asked.checkpoint)
    return `${who} runs it with another checkpoint, ${visible(run.checkpoint)}, so nothing is told of it.`
  const is =
    state === 'running' ? 'follows its sources' : `is ${visible(state)}${why === undefined ? '' : `: ${visible(why)}`}`
  const waits =
    run.objects > 0
      ? `${waitText({ objects: 0, messages: run.messages })}; ${showCounted(run.objects, 'object')} ` +
        `${run.objects === 1 ? 'is' : 'are'} on ${run.objects === 1 ? 'its' : 'their'} way into epoch ` +
        `${showCount(run.epoch + 1)} or later`
      : waitText({ objects: 0, messages: run.messages })
  const behind = run.behind.map(one => `${behindText(one)}: it is away, or slow, and the log says \`trouble\``)
  const stands = `${who} ${is}, and epoch ${showCount(run.epoch)} is its last one`
  return `${[stands, ...[waits, ...behind].map(capital)].join('. ')}.`
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`
}
