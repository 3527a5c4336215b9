/** Where the rows of JSON text are, as plain data. */
export interface JsonSettings {
  /** Field of each object that holds an array of the rows, or a path of such fields with dots: 'detail.records'. */
  readonly records: string
}
