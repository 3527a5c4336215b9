import type { ErrorHelp } from './help.ts'

/** Codes about the command line, the pipeline's file and its steps. */
export const pipelineCodes = {
  usage: {
    means: 'The command line has an unknown command or option, or an option lacks its value.',
    todo: "Read `millrace --help`, or `millrace COMMAND --help` for one command's options.",
  },
  configuration: {
    means: 'An option of a source, a sink, a step or the command line has a value that it cannot have.',
    todo: 'The message names the option, the value and what is expected there. Correct it and start again.',
  },
  'pipeline-file': {
    means: 'The file of the pipeline cannot be read, cannot be imported, or exports no pipeline.',
    todo: 'Give a .ts, .js or .sql file. One of TypeScript exports `pipeline({ ... })` as its default.',
  },
  'package-missing': {
    means: 'A sink needs a package of npm that is not installed, because only its users need it.',
    todo: 'Run the `npm install` line of the message where the pipeline is. The container has all of them.',
  },
  'http-address': {
    means: 'The status port cannot listen at the address of `--http`.',
    todo: 'Stop what listens there, give another address, or give `--no-http`.',
  },
  plan: {
    means: 'A step cannot stand where it is, or its columns do not fit those that come to it.',
    todo: 'The message names the step and what to write instead.',
  },
  'unknown-column': {
    means: 'A step names a column that the rows which come to it do not have.',
    todo: 'Take one of the columns that the message lists. `millrace explain` shows the columns after each step.',
  },
  expression: {
    means: 'An expression is not one that DuckDB can parse or compute, or it calls what pipelines may not call.',
    todo: 'Correct it. Guard a value that fails while rows are read with `try_cast`, `CASE` or an earlier `where`.',
  },
  'expression-type': {
    means: 'An expression has a type that does not fit where it stands: a `where` that is no BOOLEAN, say.',
    todo: 'Cast it to the type that the message expects.',
  },
  'default-type': {
    means: 'The DEFAULT of a declared column is no value of its type.',
    todo: 'Write a DEFAULT that the type holds as it is, or NULL.',
  },
  function: {
    means: 'A function of the pipeline threw an error, or gave a row that does not fit its columns.',
    todo: 'Correct the function, or leave such rows out before it. Nothing of the epoch was counted.',
  },
  'function-column': {
    means: 'A column has a type that cannot be handed to a function as Arrow.',
    todo: 'Leave the column out with `select()`, or use `mapRows()`.',
  },
  'function-version': {
    means: 'Two functions of one text stand in two flows, and the plan cannot tell them apart.',
    todo: "Give each a version of its own: `{ version: '...' }`.",
  },
  'not-a-mini-batch': {
    means: 'A plain RxJS operator between two steps of millrace passed on something else than what came to it.',
    todo: 'Let it pass on every mini-batch, one for one. Work on rows goes behind `rows()` or `batches()`.',
  },
  'flow-end': {
    means: 'A flow has no end, or more than one.',
    todo: 'End each flow with exactly one `to(...)`, `rows()` or `batches()`.',
  },
  'flow-ended': {
    means: 'A flow completed by itself, as `take(1)` makes it.',
    todo: 'Leave out what ends the flow: a run ends when its input does.',
  },
  'source-names': {
    means: 'Two sources of one pipeline have one name.',
    todo: 'Name one of them otherwise, or let both flows begin with the same constant.',
  },
  'lookup-names': {
    means: 'Two lookups of one pipeline have one name, or names that files cannot tell apart.',
    todo: 'Name one of them otherwise, or let both flows join with the same constant.',
  },
  'sql-form': {
    means: '`explain --as sql` was asked for a pipeline that has a step without a form in SQL.',
    todo: 'The message names the step. The pipeline of TypeScript is the only form that it has.',
  },
  'not-portable': {
    means: '`explain --portable` was asked for a pipeline with something that only this process can do.',
    todo: 'The message names it. Such a pipeline runs on one machine, with `backfill` or `run`.',
  },
  sql: {
    means: 'A query of `millrace sql` is no single SELECT, or DuckDB refuses it.',
    todo: 'Correct the query. `SHOW TABLES` lists what can be read.',
  },
  types: {
    means: 'millrace and DuckDB differ about the type of a column.',
    todo: 'This is a defect of millrace. Please report it with the pipeline.',
  },
} as const satisfies Record<string, ErrorHelp>
