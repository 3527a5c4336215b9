/** Something of a pipeline that SQL has no way to say. */
export class NoSqlForm extends Error {}

export function noForm(what: string): never {
  throw new NoSqlForm(what)
}
