/**
 * What the status page shows, as plain data: the server embeds it in the document and sends it on, and the modules in
 * `browser/` draw it. Ages and durations are milliseconds, sizes bytes, times milliseconds since 1970. Texts may hold
 * anything that a key, a name or an error can: they are shown as text.
 */
export interface PageFacts {
  readonly pipeline: string
  /** Of millrace. */
  readonly version: string
  /** When these facts were gathered. */
  readonly atMs: number
  /** One sentence of truth. */
  readonly sentence: string
  readonly mood: Mood
  readonly checkpoint: CheckpointFacts
  /** Over the checkpoint's life; null until they are known. */
  readonly totals: TotalFacts | null
  /** What only a live process knows; null in a report. */
  readonly process: ProcessFacts | null
  /** The last 200 that this process has committed, the oldest first; null in a report. */
  readonly epochs: readonly EpochFacts[] | null
  readonly sources: readonly SourceFacts[]
  readonly plan: PlanFacts
  readonly states: readonly StateFacts[]
  readonly aside: readonly AsideFacts[]
  readonly sinks: readonly SinkFacts[]
  /** To services that charge for them, of each kind that was made; null in a report. */
  readonly requests: readonly RequestFacts[] | null
}

/** How the sentence is meant: all is well, something is awaited, someone should look. */
export type Mood = 'well' | 'waits' | 'ill'

export interface CheckpointFacts {
  /** Empty until it is known. */
  readonly address: string
  readonly epoch: number | null
  readonly term: number | null
  /** Who holds it; null where nobody does, or it is not known. */
  readonly owner: string | null
  readonly headBytes: number | null
  readonly bytes: number | null
  readonly files: number | null
  /** Since the last commit of this process, or its start. */
  readonly commitAgeMs: number | null
  /** When HEAD was written, by a commit or as a sign of life; null where it is not known. */
  readonly headWrittenMs: number | null
}

export interface TotalFacts {
  readonly rows: number
  readonly objects: number
  readonly epochs: number
  /** Late (row, window) pairs. */
  readonly late: number
  readonly quarantinedRows: number
  /** Objects that are set aside, whatever for. */
  readonly setAside: number
}

export interface ProcessFacts {
  readonly state: string
  /** What is missing, where something is. */
  readonly why: string | null
  readonly upMs: number
  readonly inHandObjects: number
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number; readonly spillBytes: number } | null
}

export interface EpochFacts {
  readonly epoch: number
  readonly atMs: number
  /** From the fetch of its first object to its commit. */
  readonly tookMs: number
  readonly objects: number
  readonly rows: number
  readonly bytes: number
  readonly late: number
  /** Work since the commit before, by phase: what is read ahead for the next epoch is in it. */
  readonly phases: readonly { readonly phase: string; readonly ms: number }[]
}

export interface SourceFacts {
  readonly name: string
  /** Empty where only the checkpoint is known. */
  readonly address: string
  /** Event times; null before the first, and without one. */
  readonly watermarkMs: number | null
  readonly highestMs: number | null
  /** What was read of it over the checkpoint's life; null where only its process is asked. */
  readonly read: { readonly objects: number; readonly rows: number } | null
  /** The next five of a live process alone; null else. */
  readonly rowsPerSecond: number | null
  readonly rows: number | null
  readonly bytesPerSecond: number | null
  readonly inHand: { readonly objects: number; readonly oldestMs: number | null } | null
  /** Messages that wait, as far as the server tells. */
  readonly backlog: { readonly messages: number | null; readonly oldestMs: number | null } | null
}

export interface StateFacts {
  /** Of the step that keeps it, or of one of its side tables. */
  readonly name: string
  readonly rows: number
  readonly bytes: number
  /** null for side tables and for steps without windows. */
  readonly openWindows: number | null
  /** The first 200 that close. */
  readonly windows: readonly WindowFacts[]
  readonly watermarkMs: number | null
  /** Of the one that closes next: what it waits for, in words. Null of a checkpoint alone. */
  readonly why: string | null
}

export interface WindowFacts {
  readonly startMs: number
  readonly endMs: number
  readonly groups: number
}

/** Steps and ends as boxes, what goes between them as arrows. */
export interface PlanFacts {
  readonly boxes: readonly PlanBox[]
  readonly arrows: readonly PlanArrow[]
}

export interface PlanBox {
  readonly id: string
  readonly kind: 'source' | 'step' | 'state' | 'sink'
  readonly title: string
  readonly detail: string
  /** What it holds, in words; empty where nothing is counted. */
  readonly count: string
}

export interface PlanArrow {
  readonly from: string
  readonly to: string
  /** What went along it, in words; empty where nothing is counted. */
  readonly count: string
}

/** What was set aside for one reason. */
export interface AsideFacts {
  readonly what: 'late rows' | 'bad rows' | 'objects'
  readonly reason: string
  readonly count: number
  /** The key of the first object. */
  readonly example: string | null
  /** To copy: shows them, or has them read again. */
  readonly command: string
}

export interface RequestFacts {
  readonly kind: 'put' | 'list' | 'get' | 'delete' | 'queue'
  /** Since the process began. */
  readonly count: number
  /** As many as in the last hour; null in the first minute. */
  readonly perDay: number | null
  /** Of 1,000; null where none was given. */
  readonly price: number | null
  readonly costPerDay: number | null
}

export interface SinkFacts {
  readonly flow: string
  /** 'files', 'postgres'; 'rows' where they go to somebody's code. */
  readonly kind: string
  readonly address: string
  /** Committed, and not taken yet. */
  readonly epochs: number
  readonly rows: number
  readonly bytes: number
  /** null where nothing is counted. */
  readonly retries: number | null
  /** Rows that wait until they are worth a file, and for how long the first of them has. */
  readonly heldRows: number
  readonly heldMs: number
}
