import type { ErrorHelp } from './help.ts'

/** Codes about stores, queues, topics and the logins to them. */
export const serviceCodes = {
  'store-unavailable': {
    means: 'The store did not answer, or answered that it is busy, for longer than a call is tried again.',
    todo: 'A daemon tries again by itself. A backfill is started again and goes on from its last commit.',
  },
  'store-address': {
    means: 'Nothing answers at the address of the store, or its name or certificate is wrong.',
    todo: 'Correct the address, the port or the certificate authority.',
  },
  store: {
    means: 'The store refused a call in a way that millrace does not know.',
    todo: "Read the server's answer in the message. Nothing was changed.",
  },
  'unsafe-store': {
    means: 'The store lacks a condition of writes that a checkpoint needs, so that two writers could destroy work.',
    todo: 'Use a store that honours `If-Match` and `If-None-Match`. `millrace doctor` shows what one does.',
  },
  'no-bucket': { means: 'The bucket does not exist.', todo: 'Create it, or correct the address.' },
  'wrong-region': {
    means: 'The bucket lies in another region than the one that was asked.',
    todo: 'Add `?region=...` to the address, as the message says.',
  },
  'access-denied': {
    means: 'The store does not let this identity do what is needed.',
    todo: 'Allow the action that the message names in the policy of the role or of the bucket.',
  },
  'no-credentials': {
    means: 'No credentials of AWS were found.',
    todo: "Set them where AWS's default chain looks: environment, profile or role.",
  },
  'credentials-missing': {
    means: 'No credentials of AWS were found for a queue.',
    todo: "Set them where AWS's default chain looks: environment, profile or role.",
  },
  'credentials-expired': {
    means: "The session's token has expired.",
    todo: 'Renew the credentials, or let a role renew them.',
  },
  'region-missing': { means: 'No region is known for a queue.', todo: 'Give `sqs({ region })`, or set AWS_REGION.' },
  'key-too-long': {
    means: 'A name would be longer than the 1,024 bytes that S3 allows.',
    todo: 'Choose a shorter prefix.',
  },
  'queue-address': {
    means: 'Nothing answers at the address of the queue, or its name or certificate is wrong.',
    todo: 'Correct `queueUrl` or the endpoint.',
  },
  'queue-not-found': { means: 'The queue does not exist in that region.', todo: 'Create it, or correct `queueUrl`.' },
  'queue-access-denied': {
    means: 'The queue does not let this identity do what is needed.',
    todo: 'Allow the action that the message names, in IAM and in the policy of the queue.',
  },
  'queue-unreachable': { means: 'The queue does not answer.', todo: 'A daemon tries again by itself.' },
  'topic-not-found': { means: 'The topic does not exist.', todo: 'Create it, or correct `brokers` and `topic`.' },
  'topic-access-denied': {
    means: 'The brokers do not let this user read the topic.',
    todo: 'Allow READ and DESCRIBE on the topic.',
  },
  'kafka-unreachable': {
    means: 'The brokers do not answer, or a partition has no leader.',
    todo: 'A daemon tries again by itself.',
  },
  'kafka-login-failed': {
    means: 'The brokers refuse the login.',
    todo: 'Correct `sasl.mechanism`, the user and the password.',
  },
  'kafka-tls-failed': {
    means: 'No trusted TLS connection to the brokers comes about.',
    todo: 'Correct `tls`, or the certificate authority of this machine.',
  },
  'kafka-codec': {
    means: 'The topic has messages in a compression that this Node cannot read.',
    todo: 'Use a newer Node, or another `compression.type`.',
  },
} as const satisfies Record<string, ErrorHelp>
