import type { Json } from '../core/json.ts'
import type { SqlRow } from '../core/ports.ts'
import type { Beside } from './beside.ts'
import type { LateRows } from './late-rows.ts'
import type { Life } from './life.ts'
import type { LookupDefinition, LookupRows } from './lookup.ts'
import type { ColumnTypes, Emitted, Relation } from './relation.ts'
import type { CanonicalOptions, Told, UserExpression } from './step-options.ts'
import type { WindowAssigner } from './window.ts'

/** The head of every plan. */
export interface SourceStep<O = Json> {
  readonly is: 'source'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
}

/** A query around its input. Runs nothing. */
export interface StatelessStep<O = Json> {
  readonly is: 'stateless'
  readonly op: string
  readonly tells?: Told<O>
  /**
   * What a row of its result depends on, if that is more than one row of its input: all rows of a window, which must
   * then come together. Where results change, their difference is one of whole windows (S15).
   */
  readonly unit?: 'window'
  columns(input: ColumnTypes, options: O): ColumnTypes
  expressions(options: O): readonly UserExpression[]
  readonly canonical?: CanonicalOptions<O>
  /**
   * The name that a column of the input has afterwards; undefined where it is not handed on as it was. Absent: the step
   * may make of one row several.
   */
  carries?(column: string, options: O): string | undefined
  /** `bound` holds the gated SQL of `expressions`, in order, over the alias `_in`. */
  sql(input: Relation, options: O, bound: readonly string[]): string
  /** The hidden columns of its result, where those are not the input's. */
  hidden?(input: Relation): readonly string[]
}

/**
 * Rows joined with a table that changes now and then. A row meets the version that was there before its own ledger
 * entry (S25), so the step keeps nothing.
 */
export interface LookupStep<O = Json> {
  readonly is: 'lookup'
  readonly op: string
  readonly tells?: Told<O>
  readonly lookup: LookupDefinition
  columns(input: ColumnTypes, options: O): ColumnTypes
  readonly canonical?: CanonicalOptions<O>
  sql(input: Relation, options: O, rows: LookupRows): string
}

/** The rows of several inputs as those of one. An epoch has all of them at once. */
export interface UnionStep<O = Json> {
  readonly is: 'union'
  readonly op: string
  readonly tells?: Told<O>
  columns(inputs: readonly ColumnTypes[], options: O): ColumnTypes
  /** SQL items over one input's rows, `_in`: the columns of the union, in order. @param index of the input */
  items(input: ColumnTypes, columns: ColumnTypes, index: number, options: O): readonly string[]
}

/**
 * What the step or the source before it has set aside, in the place of the rows that it gives. Such rows have no event
 * time.
 */
export interface AsideStep {
  readonly is: 'aside'
  readonly op: 'late' | 'quarantine'
}

/**
 * Rows through a function of TypeScript. No SQL stands for it: the engine runs what is before it, hands the rows over a
 * chunk at a time, and goes on from a table of what came back. Hidden columns ride along.
 */
export interface FunctionStep<O = Json> {
  readonly is: 'function'
  readonly op: string
  readonly tells?: Told<O>
  columns(input: ColumnTypes, options: O): ColumnTypes
  readonly call: FunctionCall
}

/** The user's function; it must be a function of the row alone, as it may run again. */
export type FunctionCall =
  | { readonly is: 'map-rows'; readonly of: (row: never) => unknown }
  | { readonly is: 'filter-rows'; readonly of: (row: never) => unknown }
  | { readonly is: 'map-batches'; readonly of: (batch: never) => unknown }

/** Says into which windows a row goes. An annotation: the stateful step that follows uses it. */
export interface WindowStep<O = Json> {
  readonly is: 'window'
  readonly op: string
  readonly tells?: Told<O>
  columns(input: ColumnTypes, options: O): ColumnTypes
  readonly canonical?: CanonicalOptions<O>
  /** Its results have no time, so that no window follows them. */
  readonly isEndless?: true
  /** The zone whose calendar it takes, which DuckDB must know. */
  timeZone?(options: O): string
  assigner(options: O): WindowAssigner
}

/** Says by which columns rows are grouped. An annotation as well. */
export interface GroupStep<O = Json> {
  readonly is: 'group'
  readonly op: string
  readonly tells?: Told<O>
  columns(input: ColumnTypes, options: O): ColumnTypes
  keys(options: O): readonly string[]
}

/** What a stateful step is folded from: its input's columns, and the type that window columns take. */
export interface RowsContext {
  readonly input: ColumnTypes
  /** SQL type of the event time. Its value is the hidden column `_time`, in microseconds. */
  readonly timeType: string
  /** So long after its end a window can take late rows, where the sources before it ask for that (S16). */
  readonly retentionUs?: bigint
  /** Its input are results of another step that keeps state. */
  readonly isOfResults?: true
}

/** As `RowsContext`, with the annotations before the step. */
export interface GroupsContext extends RowsContext {
  readonly windows: WindowAssigner
  readonly keys: readonly string[]
}

interface FoldedBase<O> {
  readonly is: 'stateful'
  readonly op: string
  readonly tells?: Told<O>
  expressions(options: O): readonly UserExpression[]
  readonly canonical?: CanonicalOptions<O>
}

/** A step that keeps state of one input. It describes itself as `Stateful` once the columns before it are known. */
export type StatefulStep<O = Json> = FoldedBase<O> & {
  columns(input: ColumnTypes, options: O): ColumnTypes
} & (
    | {
        /** It follows a window and groupBy. */
        readonly takes: 'groups'
        /** `bound` holds the gated SQL of `expressions`, absent while only columns are asked for. */
        fold(context: GroupsContext, options: O, bound?: readonly string[]): Stateful
      }
    | {
        /** It follows any step that gives rows. */
        readonly takes: 'rows'
        /**
         * It gives rows that it took, each with its own time, and those of one time together: what were the rows of a
         * window stay so.
         */
        readonly keepsTimes?: true
        fold(context: RowsContext, options: O, bound?: readonly string[]): Stateful
      }
  )

/** A step that keeps state of two inputs. */
export interface TwoInputStep<O = Json> extends FoldedBase<O> {
  readonly takes: 'two'
  fold(left: RowsContext, right: RowsContext, options: O, bound?: readonly string[]): Stateful
}

/** The same where both follow a window, which is the same one. */
export interface TwoWindowsStep<O = Json> extends FoldedBase<O> {
  readonly takes: 'two windows'
  fold(left: RowsContext, right: RowsContext, windows: WindowAssigner, options: O, bound?: readonly string[]): Stateful
}

export type FoldedStep<O = Json> = StatefulStep<O> | TwoInputStep<O> | TwoWindowsStep<O>

/**
 * A stateful step as three kinds of query: `partial` of its channels (new rows to partial rows), `merge` (partial rows
 * to partial rows, associative and commutative) and `emit` (output rows, out of state and of what is new).
 */
export interface Stateful {
  /**
   * Where partial rows lie. The main one, which has no name, is the first: a row for each window and group that has any
   * row.
   */
  readonly channels: readonly [Channel, ...Channel[]]
  /** What an epoch learns when its partial rows and those of state are there. */
  readonly learnt?: readonly LearntChannel[]
  /** Output columns. */
  readonly columns: ColumnTypes
  /**
   * `closing`: results that wait in state until the watermark makes them final. `passing`: what new rows give at once,
   * each at the place of an entry of the epoch. `both`: some of its results wait.
   */
  readonly gives: 'closing' | 'passing' | 'both'
  /** The names of its inputs where it has several, in order: late rows of each are kept apart. */
  readonly ports?: readonly string[]
  /** What it says of the rows of each of its inputs. */
  readonly late: LateRows
  /**
   * Columns that every channel has: rows that differ in them never meet. So partial rows may be parted by these, each
   * part to be merged and given by itself. Absent: nothing is known of that.
   */
  readonly partedBy?: readonly string[]
  /** It gives nothing before the end of all. */
  readonly isEndless?: true
  /** What stands beside the rows that the step takes. */
  readonly beside?: Beside
  /** What of new rows would be too much work. Absent: work grows with rows. */
  readonly crowd?: Crowd
  /** What this epoch gives. Called only where a watermark or a new row may give anything. */
  emit(view: EpochView): Emitted
  /**
   * Open windows of main partial rows, those that end above the watermark: `_window_start`, `_window_end` in
   * microseconds, `groups`.
   */
  openWindows?(partials: string, watermarkUs: bigint | null): string
  /** How far behind its watermark the rows may lie that it still gives (S13). */
  readonly holdUs: bigint
  /** What its results are before they are final. Absent: that is not known, or they are never anything else. */
  readonly updates?: Updates
  /** How late rows come into results that were given. Absent: nothing asks for it, or it cannot be done. */
  readonly corrections?: Corrections
}

/** What a result depends on, so that rows of it may change the result: its group, or all groups of its window. */
export type ChangeUnit = 'group' | 'window'

/** Results that change, out of the same state as those that are final (S15). */
export interface Updates {
  /** The columns that tell results apart. Of several in one place each does it. */
  readonly key: readonly (readonly string[])[]
  /**
   * Which results may be others than before: what tells them apart, each once.
   *
   * @param fresh the epoch's own partial rows of the main channel
   * @param fromUs the step's watermark before the epoch
   */
  touched(unit: ChangeUnit, fresh: string, fromUs: bigint | null): string
  /**
   * Those results, as partial rows have them.
   *
   * @param partials of a channel
   * @param touched a table, as `touched` gives it
   */
  results(unit: ChangeUnit, partials: EpochView['partials'], touched: string, fromUs: bigint | null): Emitted
}

/** Results that late rows change after they were given (S16). The state of a window outlives its end for that. */
export interface Corrections {
  readonly retentionUs: bigint
  /** The columns that tell results apart, as of `Updates`. */
  readonly key: Updates['key']
  /** Rows with the hidden column `_window_end`, each late for that one window, as partial rows of a channel. */
  taken(channel: Channel, rows: Relation): string
  /**
   * Results of the step before it that have changed, with the hidden columns `_result` and `_is_gone`, as partial rows
   * of the main channel. Absent of a step whose rows do not change.
   */
  changed?(rows: Relation, watermarkUs: bigint | null): string
  /**
   * Which results may be others than before: what tells them apart, each once.
   *
   * @param fresh what `taken` and `changed` made for the main channel
   * @param committed all partial rows of that before
   */
  touched(unit: ChangeUnit, fresh: string, committed: string): string
  /**
   * Those results, as partial rows have them, of windows that this watermark has closed.
   *
   * @param touched a table, as `touched` gives it
   */
  results(unit: ChangeUnit, partials: EpochView['partials'], touched: string, toUs: bigint | null): Emitted
}

/** How a step whose work grows faster than its rows finds out before it is done (law 6). */
export type Crowd = {
  readonly pairsMax: number
  tells(row: SqlRow): string
} & (
  | {
      /** Asked before anything is learnt of the epoch's rows. */
      readonly at: 'new rows'
      /** Two channels with a row for each row: no more pairs than these allow are compared. */
      readonly sides: readonly [Channel, Channel]
      /** No row where nothing can be too much: spares the dearer query. */
      suspect(view: ChannelView): string
      /** No row, or the one that is too much, of which `tells` tells. */
      sql(view: ChannelView): string
    }
  | {
      /** Asked before anything is given. */
      readonly at: 'closing'
      suspect(view: EpochView): string
      sql(view: EpochView): string
    }
)

/** What a step sees of one epoch. */
export interface EpochView extends ChannelView {
  /** The epoch's own rows with their hidden columns, for a step of one input that gives rows `passing`. */
  readonly rows: Relation
  /**
   * The partial rows of a channel, committed and new, in parts of which no two have rows that close at the same
   * watermark; none where there are no rows.
   */
  partials(channel: StateChannel): readonly PartialRows[]
  /** The step's watermark before the epoch's first entry and after its last one. */
  readonly fromUs: bigint | null
  readonly toUs: bigint | null
}

/** The partial rows of a step's channels, as SQL. */
export interface ChannelView {
  /** Those of earlier epochs. */
  committed(channel: StateChannel): string
  /** Those of this epoch. */
  own(channel: StateChannel): string
}

/** Partial rows as SQL. `isMerged`: each window and group has one row at most, as one `partial` query gives them. */
export interface PartialRows {
  readonly sql: string
  readonly isMerged: boolean
}

/** Rows of one grain: what a segment and a state table hold. */
export interface StateChannel {
  /** '' for the main one, where there is one; tells the channels of one step apart. */
  readonly name: string
  readonly columns: ColumnTypes
  /** A total order: same rows, same bytes. */
  readonly order: readonly string[]
  /** Partial rows to fewer partial rows that mean the same; associative and commutative. */
  merge(partials: string): string
  readonly life: Life
  /** SQL over a partial row: the watermark that makes it dead, as far as `life` leaves that to the row. */
  readonly closesAt: string
  /** SQL over a partial row: a watermark below this makes none of its results final. */
  readonly emitsFrom: string
  /**
   * SQL over a partial row: the largest watermark that makes a result final which begins at or below the limit; else
   * NULL (S6). Absent where nothing waits for a watermark.
   */
  flushAt?(limitUs: bigint): string
  /**
   * Those of the channel's rows of which something is still to be given, where that is not all of them: a flush goes by
   * these.
   *
   * @param partials SQL: all of them
   */
  pending?(partials: string, view: ChannelView): string
}

/** What is made of new rows alone, so that it may run ahead of commits: partial rows. */
export interface Channel extends StateChannel {
  /** Which of the step's inputs it is made of; absent: the first. */
  readonly input?: number
  /** Rows with the hidden columns of `rowHidden` to partial rows; what is late is left out. */
  partial(rows: Relation): string
  /**
   * A BOOLEAN column of the main channel: whether a row needs this one. Where it is FALSE everywhere `partial` is not
   * run.
   */
  readonly neededBy?: string
}

/** What only state and new rows together tell, such as which rows of a join have matched. */
export interface LearntChannel extends StateChannel {
  /** What this epoch adds. */
  learn(view: ChannelView): string
}

/** The end of a flow: what the engine does with its rows. */
export interface SinkStep<O = Json> {
  readonly is: 'sink'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
}

export type OneInputStep<O = never> =
  | SourceStep<O>
  | StatelessStep<O>
  | FunctionStep<O>
  | LookupStep<O>
  | WindowStep<O>
  | GroupStep<O>
  | StatefulStep<O>
  | SinkStep<O>

export type SeveralInputsStep<O = never> = UnionStep<O> | TwoInputStep<O> | TwoWindowsStep<O>

export type Step<O = never> = OneInputStep<O> | SeveralInputsStep<O> | AsideStep
