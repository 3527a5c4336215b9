import { readInterval } from '../interval.ts'
import { createReader } from '../reader.ts'
import { sqlError, type SqlFile } from '../sql-error.ts'
import type { Argument, Call } from '../query/parts.ts'
import type { WindowArgument, WindowFunction } from './window-function.ts'

/** What stands behind the rows of a call, by name. @throws MillraceError `user` at what is wrong */
export function windowArguments(
  file: SqlFile,
  { form, takes, name }: WindowFunction,
  call: Call,
): Readonly<Record<string, string>> {
  const values: Record<string, string> = {}
  for (const [index, given] of call.more.entries()) {
    const asked = given.name
      ? takes.find(each => each.name.toLowerCase() === given.name?.value.toLowerCase())
      : takes[index]
    const at = given.name?.from ?? given.tokens[0]?.from ?? call.end.from
    if (!asked || Object.hasOwn(values, asked.name)) {
      const names = takes.map(each => each.name).join(', ') || 'the rows alone'
      throw sqlError(file, at, `${name} takes no such argument here; expected ${form}, behind the rows: ${names}.`)
    }
    values[asked.name] = valueOf(file, asked, given, call, form)
  }
  const missing = takes.find(each => !each.isOptional && !Object.hasOwn(values, each.name))
  if (missing) throw sqlError(file, call.end.from, `${name}: ${missing.name} is missing; expected ${form}.`)
  return values
}

function valueOf(file: SqlFile, { is }: WindowArgument, { tokens }: Argument, call: Call, form: string): string {
  const reader = createReader(file, tokens, call.end)
  const token = reader.peek()
  if (is === 'text' && token.is !== 'text') reader.fail(`a word in quotes, as in ${form}`)
  const value = is === 'interval' ? readInterval(reader) : reader.next().value
  if (reader.peek().is !== 'end') reader.fail(`, or ), as in ${form}`)
  return value
}
