/** The other side of a work: plain statements through the same binding, in a process of its own. */
import { plainQuery } from '../plain-query.ts'

await plainQuery(...process.argv.slice(2))
