/**
 * Where objects are announced, as plain data: what a connector's call such as `sqs({...})` makes. No part of the plan:
 * a pipeline may change its queue between runs, and secrets in it reach neither a checkpoint nor `explain`.
 */
export interface NotificationSpec {
  /** The connector, as `connectors/registry.ts` lists it: 'sqs'. */
  readonly notifications: string
}
