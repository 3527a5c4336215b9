import { concatMap, EMPTY, map, type ObservableInput, type OperatorFunction } from 'rxjs'
import { type CallSite, callSite } from '../core/call-site.ts'
import { withCallSite } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import type { SqlName } from '../core/types.ts'
import { type CommittedRows, type PlannedBatch, plannedBatch } from './mini-batch.ts'
import type { OneInputStep } from './step.ts'
import { asksForChanges, type Emit } from './updates.ts'

declare const columnsOf: unique symbol
declare const windowed: unique symbol
declare const grouped: unique symbol
declare const endless: unique symbol
declare const timeless: unique symbol
declare const took: unique symbol

/**
 * One epoch's rows with columns `C`, as a description: nothing is read while operators run.
 * `T` is the type of the event time column, which window columns take. `L` is what the step took that keeps state and
 * gives these rows: of those some may be late.
 */
export interface MiniBatch<out C, out T = 'TIMESTAMPTZ NOT NULL', out L = unknown> {
  readonly [columnsOf]: C
  readonly [took]: L
  readonly time: T
  /** 0 is the binding pass before anything is claimed or read; epochs count from 1. */
  readonly epoch: number
}
/** Rows with columns `C`, each by itself or in windows. */
export interface TookRows<out C, out W extends 'rows' | 'windows'> {
  readonly [took]: [C, W]
}
/** Rows of two sides. */
export interface TookSides<out A, out B, out W extends 'rows' | 'windows' = 'rows'> {
  readonly [took]: { readonly left: A; readonly right: B; readonly in: W }
}
/** A mini-batch whose rows are assigned to windows: `groupBy` or `aggregate` must follow. */
export interface Windowed<out C, out T> {
  readonly [windowed]: C
  readonly time: T
}
/** In the place of the event time's type: one window for all, whose results have no time. */
export interface NoWindow {
  readonly [endless]: true
}
/** In the place of the event time's type: the rows of a source without one. */
export interface NoTime {
  readonly [timeless]: true
}
/** A windowed mini-batch with its group keys: `aggregate` must follow. */
export interface Grouped<out C, out K, out T> {
  readonly [grouped]: [C, K]
  readonly time: T
}
/** What a flow ends in: one description an epoch. */
export interface Done {
  readonly epoch: number
}

// ---- What an operator is given, `I`, is taken from the pipe that it stands in. A mistake in the order of operators is
// the type of a parameter: so the compiler tells it in one line, at the operator that is wrong. Outside a pipe `I` is
// unknown.

/** The columns of what an operator is given. */
export type ColumnsOf<I> = unknown extends I
  ? unknown
  : I extends MiniBatch<infer C, unknown>
    ? C
    : I extends Windowed<infer C, unknown>
      ? C
      : I extends Grouped<infer C, unknown, unknown>
        ? C
        : never
/** The type of its event time. */
export type TimeOf<I> = I extends { readonly time: infer T } ? T : unknown

type Rows = MiniBatch<unknown, unknown>
type OpenWindow = Windowed<unknown, unknown> | Grouped<unknown, unknown, unknown>
type NoRows<I> = I extends OpenWindow
  ? 'add aggregate({...}) before this: it makes rows of windows'
  : 'nothing of millrace can follow to(...) or rows(): the flow ends there'

/** The same of rows of which some are dropped: they are not any more all that a step gave which keeps state. */
export type Passed<I> = [I] extends [Rows] ? MiniBatch<ColumnsOf<I>, TimeOf<I>> : I

/** `P` where rows are given, else what to do. */
export type OfRows<I, P> = unknown extends I ? P : [I] extends [Rows] ? P : NoRows<I>

/** `P` where rows with an event time are given, else what to do. */
export type OfTimedRows<I, P> = unknown extends I
  ? P
  : [NoTime, TimeOf<I>] extends [TimeOf<I>, NoTime]
    ? "windows and state go by an event time: name its column in source(...), such as time: 'at'"
    : OfRows<I, P>

/** `P` where a window is open, else what to do. */
export type OfWindow<I, P> = unknown extends I
  ? P
  : [I] extends [OpenWindow]
    ? P
    : [I] extends [Rows]
      ? 'add a window such as tumbling(...) before this: rows are aggregated in windows'
      : NoRows<I>

/** `P` right behind a window, else what to do. */
export type OfOnlyWindow<I, P> = unknown extends I
  ? P
  : [I] extends [Windowed<unknown, unknown>]
    ? P
    : "window: true takes rows in windows: put the same one, such as tumbling('1 hour'), at the end of both sides"

/** A millrace operator: an RxJS operator that only adds its step to the plan. */
export interface Operator<A, R> extends OperatorFunction<A, R> {
  readonly step: { readonly op: string }
  readonly options: Json
}

/** An operator's body: maps each mini-batch, one for one, to the same with this step added. */
export function step<A, R, O extends Json>(planStep: OneInputStep<O>, options: O): Operator<A, R> {
  return operator(planStep, options, (batch, at) => batch.apply(planStep, options, at) as unknown as R)
}

/** As `step`, for an operator that does something else with the batch. */
export function operator<A, R, O extends Json>(
  planStep: { readonly op: string },
  options: O,
  apply: (batch: PlannedBatch, at: CallSite | undefined) => R,
): Operator<A, R> {
  // Called by the user's file: what is wrong with the step is told with this place.
  const at = callSite()
  const run: OperatorFunction<A, R> = map(batch => {
    try {
      return apply(plannedBatch(batch, planStep.op), at)
    } catch (error) {
      throw withCallSite(error, at)
    }
  })
  return Object.assign((source: Parameters<typeof run>[0]) => run(source), { step: planStep, options })
}

/**
 * An operator that ends the described part of a flow and hands committed rows to what follows. Where the flow only
 * describes its plan it emits nothing.
 */
export function handOver<A, R>(
  op: string,
  emit: Emit | undefined,
  give: (epoch: number, rows: CommittedRows) => ObservableInput<R>,
) {
  const at = callSite()
  const run: OperatorFunction<A, R> = concatMap(value => {
    try {
      const batch = plannedBatch(value, op)
      batch.end({ is: 'rows', node: batch.node, op, ...asksForChanges(emit) })
      return batch.committed === undefined ? EMPTY : give(batch.epoch, batch.committed)
    } catch (error) {
      throw withCallSite(error, at)
    }
  })
  const operator: Operator<A, R> & { readonly handsOver: true } = Object.assign(
    (source: Parameters<typeof run>[0]) => run(source),
    { step: { op }, options: {}, handsOver: true as const },
  )
  return operator
}

// ---- SQL strings: an unknown column name is a compile error ---------------------------------------------------
type Separator =
  | ' '
  | '\n'
  | '\t'
  | ','
  | ')'
  | '='
  | '<'
  | '>'
  | '!'
  | '+'
  | '-'
  | '*'
  | '/'
  | '%'
  | '|'
  | ';'
  | '['
  | ']'
  | '&'
  | '^'
  | '~'
  | '@'
  | '?'
  | '{'
  | '}'
type Digit = '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9'
type Word =
  | 'and'
  | 'or'
  | 'not'
  | 'is'
  | 'null'
  | 'in'
  | 'like'
  | 'ilike'
  | 'between'
  | 'case'
  | 'when'
  | 'then'
  | 'else'
  | 'end'
  | 'true'
  | 'false'
  | 'as'
  | 'interval'
  | 'distinct'
  | 'from'
  | 'escape'
  | 'similar'
  | 'to'
  | 'glob'
  | 'collate'
  | 'at'
  | 'time'
  | 'zone'
  | 'year'
  | 'month'
  | 'day'
  | 'hour'
  | 'minute'
  | 'second'
  | 'years'
  | 'months'
  | 'minutes'
  | 'hours'
  | 'days'
  | 'seconds'
  | 'week'
  | 'weeks'
  | 'quarter'
  | 'dow'
  | 'doy'
  | 'date'
  | 'timestamp'
  | 'epoch'
  | 'cast'
  | 'try_cast'
  | 'with'
  | Lowercase<SqlName>
  | 'decimal'
type Bad<T extends string, C> = T extends ''
  ? never
  : T extends `${Digit}${string}`
    ? never
    : T extends keyof C
      ? never
      : Lowercase<T> extends Lowercase<keyof C & string> | Word
        ? never
        : T
// Walks the string; T is the identifier so far.
type Scan<S extends string, C, T extends string = ''> = S extends `${infer H}${infer R}`
  ? H extends "'"
    ? R extends `${string}'${infer R2}`
      ? Scan<R2, C>
      : never
    : H extends '"'
      ? R extends `${infer Q}"${infer R2}`
        ? Q extends keyof C
          ? Scan<R2, C>
          : Q
        : never
      : H extends '('
        ? Scan<R, C>
        : H extends '.'
          ? Bad<T, C> extends never
            ? Scan<SkipField<R>, C>
            : Bad<T, C>
          : H extends ':'
            ? Bad<T, C> extends never
              ? Scan<SkipCast<R>, C>
              : Bad<T, C>
            : H extends Separator
              ? Bad<T, C> extends never
                ? Scan<R, C>
                : Bad<T, C>
              : Scan<R, C, `${T}${H}`>
  : Bad<T, C>
type SkipField<S extends string> = S extends `${infer H}${infer R}`
  ? H extends Separator | '.' | ':'
    ? S
    : SkipField<R>
  : ''
type SkipCast<S extends string> = S extends `:${infer R}` ? (R extends `${string} ${infer R2}` ? R2 : '') : S

/** `string`, and a template with such a hole in it: a key of that type is an index signature, so optional. */
type IsOpen<S extends string> = {} extends { readonly [K in S]: true } ? true : false

/**
 * The expression itself when every name in it is a column of `C`, else a message that names the stranger. A string
 * that is no literal passes: DuckDB checks it before any data is read.
 */
export type Sql<S extends string, C> =
  IsOpen<S> extends true
    ? S
    : string extends keyof C
      ? S
      : S extends `${string}lambda${string}` | `${string}->${string}`
        ? S
        : [Scan<S, C>] extends [never]
          ? S
          : `no column "${Scan<S, C>}"`
