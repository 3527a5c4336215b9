import { isObservable, Observable, type OperatorFunction, type UnaryFunction } from 'rxjs'
import { configError } from '../core/errors.ts'

/** What describes a flow that hands rows over: all of it up to `rows()` or `batches()`. */
const descriptions = new WeakMap<Observable<unknown>, Observable<unknown>>()

/**
 * The part of a flow that describes its plan. What follows `rows()` or `batches()` is a user's own code: it is
 * subscribed to take rows, and for nothing else.
 */
export function describedPart(flow: Observable<unknown>): Observable<unknown> {
  return descriptions.get(flow) ?? flow
}

/**
 * An Observable whose `pipe` keeps its types for twenty operators. RxJS types nine; the tenth loses its columns.
 */
export class Stream<T> extends Observable<T> {
  override pipe(): Stream<T>
  override pipe<A>(op1: OperatorFunction<T, A>): Stream<A>
  override pipe<A, B>(op1: OperatorFunction<T, A>, op2: OperatorFunction<A, B>): Stream<B>
  override pipe<A, B, C>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
  ): Stream<C>
  override pipe<A, B, C, D>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
  ): Stream<D>
  override pipe<A, B, C, D, E>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
  ): Stream<E>
  override pipe<A, B, C, D, E, F>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
  ): Stream<F>
  override pipe<A, B, C, D, E, F, G>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
  ): Stream<G>
  override pipe<A, B, C, D, E, F, G, H>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
  ): Stream<H>
  override pipe<A, B, C, D, E, F, G, H, I>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
  ): Stream<I>
  override pipe<A, B, C, D, E, F, G, H, I, J>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
  ): Stream<J>
  override pipe<A, B, C, D, E, F, G, H, I, J, K>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
  ): Stream<K>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
  ): Stream<L>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
  ): Stream<M>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M, N>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
    op14: OperatorFunction<M, N>,
  ): Stream<N>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
    op14: OperatorFunction<M, N>,
    op15: OperatorFunction<N, O>,
  ): Stream<O>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
    op14: OperatorFunction<M, N>,
    op15: OperatorFunction<N, O>,
    op16: OperatorFunction<O, P>,
  ): Stream<P>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
    op14: OperatorFunction<M, N>,
    op15: OperatorFunction<N, O>,
    op16: OperatorFunction<O, P>,
    op17: OperatorFunction<P, Q>,
  ): Stream<Q>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
    op14: OperatorFunction<M, N>,
    op15: OperatorFunction<N, O>,
    op16: OperatorFunction<O, P>,
    op17: OperatorFunction<P, Q>,
    op18: OperatorFunction<Q, R>,
  ): Stream<R>
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
    op14: OperatorFunction<M, N>,
    op15: OperatorFunction<N, O>,
    op16: OperatorFunction<O, P>,
    op17: OperatorFunction<P, Q>,
    op18: OperatorFunction<Q, R>,
    op19: OperatorFunction<R, S>,
  ): Stream<S>
  // The last is U: a T here would hide the class's own, which the first operator takes.
  override pipe<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, U>(
    op1: OperatorFunction<T, A>,
    op2: OperatorFunction<A, B>,
    op3: OperatorFunction<B, C>,
    op4: OperatorFunction<C, D>,
    op5: OperatorFunction<D, E>,
    op6: OperatorFunction<E, F>,
    op7: OperatorFunction<F, G>,
    op8: OperatorFunction<G, H>,
    op9: OperatorFunction<H, I>,
    op10: OperatorFunction<I, J>,
    op11: OperatorFunction<J, K>,
    op12: OperatorFunction<K, L>,
    op13: OperatorFunction<L, M>,
    op14: OperatorFunction<M, N>,
    op15: OperatorFunction<N, O>,
    op16: OperatorFunction<O, P>,
    op17: OperatorFunction<P, Q>,
    op18: OperatorFunction<Q, R>,
    op19: OperatorFunction<R, S>,
    op20: OperatorFunction<S, U>,
  ): Stream<U>
  override pipe(...operators: OperatorFunction<never, unknown>[]): Stream<unknown> {
    let description = descriptions.get(this)
    const flow = operators.reduce(
      (source: Observable<unknown>, operator, index) => {
        const next = piped(source, operator, index + 1)
        if ('handsOver' in operator) description ??= next
        return next
      },
      this as Observable<unknown>,
    )
    const stream = new Stream(subscriber => flow.subscribe(subscriber))
    if (description) descriptions.set(stream, description)
    return stream
  }
}

/** What an operator makes of a flow. @param place of the operator among its pipe's, from 1 */
function piped(source: Observable<unknown>, operator: unknown, place: number): Observable<unknown> {
  const expected = 'an operator of millrace or of RxJS, which makes an Observable of one'
  if (isObservable(operator))
    throw configError(
      `pipe: step ${place}`,
      'a flow',
      `${expected}; of several flows union(green, yellow) makes one, and join(other, {...}) is an operator`,
    )
  if (typeof operator !== 'function') throw configError(`pipe: step ${place}`, operator, expected)
  const next: unknown = (operator as UnaryFunction<Observable<unknown>, unknown>)(source)
  if (isObservable(next)) return next
  const isPromise = typeof (next as { then?: unknown } | undefined)?.then === 'function'
  throw configError(
    `pipe: step ${place}`,
    `a function that gives ${isPromise ? 'a Promise' : typeof next}`,
    `${expected}${isPromise ? '; for a function of each row write concatMap(async row => ...)' : ''}`,
  )
}
