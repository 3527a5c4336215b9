/**
 * Which DuckDB functions an expression may call (S19), reviewed name by name against DuckDB 1.5.6. An expression must
 * be a function of the row: the same in a replay next year, on any machine, in any session.
 *
 * `test/plan/gate.test.ts` walks every function that DuckDB lists, so that an upgrade shows what is new.
 */

const clock = 'it reads the clock, so a replay would answer differently; use the event time column'
const session = 'it depends on the session, not on the row'
const catalog = "it reads DuckDB's catalog, not the row"
const random = 'it gives another value in every run; derive a value from columns, for example with md5(...)'
const internal = "it is one of DuckDB's internals"
const hashing = 'its value may change with the DuckDB version; use md5_number_lower(...) or sha256(...)'
const listDistance =
  'a NULL in the list of another row makes it fail; cast to an array, as in array_distance(a::DOUBLE[3], b::DOUBLE[3])'
const gradeUp = 'equal elements come in no fixed order; use list_sort(...)'
const listSelect =
  'a NULL in its second list can end the process; use list_transform(places, lambda i: list[i]) ' +
  'or list_filter(list, lambda x, i: mask[i])'
const privileges = `${session}: DuckDB has no privileges`

/** Scalar functions and names that run as functions, refused with the reason. Keys are lower case. */
export const refusedFunctions: ReadonlyMap<string, string> = new Map(
  Object.entries({
    // The clock. DuckDB lists current_localtime and current_localtimestamp as CONSISTENT.
    now: clock,
    today: clock,
    ago: clock,
    current_date: clock,
    current_time: clock,
    current_timestamp: clock,
    current_localtime: clock,
    current_localtimestamp: clock,
    get_current_time: clock,
    get_current_timestamp: clock,
    localtime: clock,
    localtimestamp: clock,
    transaction_timestamp: clock,
    pg_conf_load_time: clock,
    pg_postmaster_start_time: clock,
    // The session, the process and the machine.
    current_setting: session,
    getvariable: session,
    getenv: 'it reads the environment, not the row; read process.env in the pipeline file and write the value as text',
    current_connection_id: session,
    current_query: session,
    current_query_id: session,
    current_transaction_id: session,
    txid_current: session,
    current_user: session,
    current_role: session,
    session_user: session,
    user: session,
    version: session,
    inet_client_addr: session,
    inet_client_port: session,
    inet_server_addr: session,
    inet_server_port: session,
    // The catalog.
    current_catalog: catalog,
    current_database: catalog,
    current_schema: catalog,
    current_schemas: catalog,
    in_search_path: catalog,
    nextval: 'a sequence gives another value in every run; `_seq` and `_row` name a row',
    currval: 'a sequence gives another value in every run; `_seq` and `_row` name a row',
    col_description: catalog,
    obj_description: catalog,
    shobj_description: catalog,
    format_type: catalog,
    format_pg_type: catalog,
    map_to_pg_oid: catalog,
    get_block_size: catalog,
    pg_get_constraintdef: catalog,
    pg_get_viewdef: catalog,
    pg_get_expr: catalog,
    pg_my_temp_schema: catalog,
    pg_is_other_temp_schema: catalog,
    st_crs: catalog,
    st_setcrs: catalog,
    // Json_serialize_plan binds a query against the catalog; the other two handle queries as values.
    json_serialize_plan: catalog,
    json_serialize_sql: internal,
    json_deserialize_sql: internal,
    // Another value, or another effect, in every run.
    random,
    gen_random_uuid: random,
    uuid: random,
    uuidv4: random,
    uuidv7: random,
    setseed: 'it changes the session',
    sleep_ms: 'it only blocks',
    pg_sleep: 'it only blocks',
    write_log: "it writes to DuckDB's log",
    error: 'it would end the run at one bad row; use a CASE that gives NULL, or `where`, to drop rows',
    // Values that may change with DuckDB's version, or that show how DuckDB runs a query.
    hash: hashing,
    create_sort_key: hashing,
    stats: 'it shows how DuckDB runs the query, not the row',
    vector_type: 'it shows how DuckDB runs the query, not the row',
    alias: 'it gives the text of an expression, not a value of the row',
    icu_sort_key: 'collation keys may change with the DuckDB version; compare lower(...) or strip_accents(...)',
    // What DuckDB uses inside, or hands to drivers.
    can_cast_implicitly: internal,
    cast_to_type: internal,
    combine: 'it works on aggregate states, which no column can hold',
    finalize: 'it works on aggregate states, which no column can hold',
    get_type: internal,
    // Of a constant it breaks the whole database (DuckDB 1.5.6): an INTERNAL Error, after which nothing runs.
    is_histogram_other_bin: internal,
    make_type: internal,
    parse_duckdb_log_message: internal,
    remap_struct: internal,
    replace_type: internal,
    timetz_byte_comparable: internal,
    unpivot_list: internal,
    variant_bytes_to_variant: internal,
    variant_normalize: internal,
    variant_to_parquet_variant: internal,
    // Macros over aggregates or over tables, and macros whose own aggregate is refused.
    geomean: 'it is an aggregate',
    geometric_mean: 'it is an aggregate',
    wavg: 'it is an aggregate',
    weighted_avg: 'it is an aggregate',
    json_group_array: 'it is an aggregate',
    json_group_object: 'it is an aggregate',
    json_group_structure: 'it is an aggregate',
    generate_subscripts: 'it makes several rows of one',
    regexp_split_to_table: 'it makes several rows of one; use string_split_regex(...), which gives a list',
    unnest: 'it makes several rows of one; list functions such as list_transform(...) keep one row',
    // Answers that depend on other rows of the vector, or end more than their row (test/plan/row-values.test.ts).
    array_select: listSelect,
    array_where: listSelect,
    list_select: listSelect,
    list_where: listSelect,
    list_cosine_distance: listDistance,
    list_cosine_similarity: listDistance,
    list_distance: listDistance,
    list_dot_product: listDistance,
    list_inner_product: listDistance,
    list_negative_dot_product: listDistance,
    list_negative_inner_product: listDistance,
    '<->': listDistance,
    '<=>': listDistance,
    array_grade_up: gradeUp,
    grade_up: gradeUp,
    list_grade_up: gradeUp,
    enum_range_boundary: 'it answers every row as it does the first; use enum_range(...) and a slice of it',
    equi_width_bins: 'a row for which no bins can be made ends the run; write the bins as a list',
    list_approx_count_distinct: 'its value may change with the DuckDB version; use list_unique(...)',
    list_entropy: 'it adds in the order of a hash table, which may change with the DuckDB version',
  }),
)

/** Families refused by the start of their name. */
const refusedPrefixes: readonly (readonly [string, string])[] = [
  ['__internal_', internal],
  ['icu_collate_', 'collation keys may change with the DuckDB version; compare lower(...) or strip_accents(...)'],
  ['has_', privileges],
  ['pg_', catalog],
  ['read_', 'it reads files, not the row'],
]

/** Macros have no stability: these were read. Those of lists call `list_aggr` with an aggregate allowed below. */
export const allowedMacros: ReadonlySet<string> = new Set(
  `array_append array_pop_back array_pop_front array_prepend array_push_back array_push_front array_reverse
   array_to_string array_to_string_comma_default date_add days_in_month fdiv fmod json
   list_any_value list_append list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_count
   list_first list_histogram list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median list_min
   list_mode list_prepend list_product list_reverse list_sem list_skewness list_stddev_pop list_stddev_samp
   list_string_agg list_sum list_var_pop list_var_samp map_contains_entry map_contains_value md5_number_lower
   md5_number_upper nullif pg_size_pretty pg_typeof round_even roundbankers split_part`.split(/\s+/),
)

/** Functions that aggregate a list by an aggregate's name: the name must be a constant from `listAggregates`. */
export const listAggregateFunctions: ReadonlySet<string> = new Set([
  'aggregate',
  'array_aggr',
  'array_aggregate',
  'list_aggr',
  'list_aggregate',
])

/**
 * Arguments that may not be columns. After the first, DuckDB takes the first row's value for all rows; and a part of
 * time out of a column ends its session where it is the epoch of a TIMESTAMPTZ, or the hours or the era between two.
 */
export const constantArguments: ReadonlyMap<string, 'first' | 'others'> = new Map([
  ['date_diff', 'first'],
  ['date_part', 'first'],
  ['date_sub', 'first'],
  ['datediff', 'first'],
  ['datepart', 'first'],
  ['datesub', 'first'],
  ['parse_dirname', 'others'],
  ['parse_dirpath', 'others'],
  ['parse_filename', 'others'],
  ['parse_path', 'others'],
])

/** Aggregates whose answer over one list is settled by its elements in their order. */
export const listAggregates: ReadonlySet<string> = new Set(
  `any_value arbitrary avg bit_and bit_or bit_xor bool_and bool_or count favg first fsum histogram kahan_sum kurtosis
   kurtosis_pop last list mad max mean median min mode product quantile_cont quantile_disc sem skewness stddev
   stddev_pop stddev_samp string_agg sum sumkahan var_pop var_samp variance`.split(/\s+/),
)

/** Functions whose second argument may be a lambda. Elsewhere `->` is JSON extraction. */
export const lambdaFunctions: ReadonlySet<string> = new Set(
  `apply array_apply array_filter array_reduce array_transform filter list_apply list_filter list_reduce list_transform
   reduce`.split(/\s+/),
)

/** Functions whose arguments may have names: `struct_pack(a := 1)`. */
export const namedArgumentFunctions: ReadonlySet<string> = new Set([
  'struct_insert',
  'struct_pack',
  'struct_update',
  'union_value',
])

export interface FunctionEntry {
  readonly name: string
  readonly type: string
  /** NULL for macros and table functions. */
  readonly stability: string | null
}

export type FunctionVerdict = 'allowed' | { readonly refused: string }

/** Answers for every function of this DuckDB by name and number of arguments; -1 stands for any number. */
export type FunctionRules = (name: string, argumentsCount: number) => FunctionVerdict

/** The query whose rows `functionRules` takes. */
export const functionEntriesSql =
  'SELECT DISTINCT function_name AS "name", function_type AS "type", stability FROM duckdb_functions()'

/** @param reasons in the place of ours, by name: where the text is no part of a file of TypeScript */
export function functionRules(
  entries: readonly FunctionEntry[],
  reasons: ReadonlyMap<string, string> = new Map(),
): FunctionRules {
  const kinds = new Map<string, FunctionEntry[]>()
  for (const entry of entries) kinds.set(entry.name, [...(kinds.get(entry.name) ?? []), entry])

  return (name, argumentsCount) => {
    const named = reasons.get(name) ?? refusedFunctions.get(name)
    if (named !== undefined) return { refused: named }
    if (name === 'age' && argumentsCount === 1) return { refused: `with one argument ${clock} as the first of two` }
    if (allowedMacros.has(name)) return kinds.has(name) ? 'allowed' : { refused: 'DuckDB has no such function' }
    for (const [prefix, reason] of refusedPrefixes) if (name.startsWith(prefix)) return { refused: reason }

    const known = kinds.get(name) ?? []
    const scalars = known.filter(entry => entry.type === 'scalar')
    const unstable = scalars.find(entry => entry.stability !== 'CONSISTENT')
    if (unstable) return { refused: `DuckDB calls it ${unstable.stability}: it is no function of the row alone` }
    // A macro of the same name would be bound first, and macros are allowed by name only.
    if (known.some(entry => entry.type === 'macro')) return { refused: 'this macro is not among the reviewed ones' }
    if (scalars.length > 0) return 'allowed'
    if (known.some(entry => entry.type === 'aggregate')) {
      return { refused: 'it is an aggregate; those belong in aggregate({...}) after groupBy, not in an expression' }
    }
    if (known.length > 0) return { refused: 'it is a table function' }
    return { refused: 'DuckDB has no such function' }
  }
}
