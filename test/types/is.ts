type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** `is<A, B>(true)` compiles only where both are the same type, readonly and optional included. */
export declare function is<A, B>(equal: Equal<A, B>): void
