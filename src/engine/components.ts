import { mkdir } from 'node:fs/promises'
import { parseInput } from '../../connectors/directory/listing.ts'
import { parseDirectoryAddress } from '../../connectors/directory/spec.ts'
import { checkFileSystem } from '../../connectors/directory/check-file-system.ts'
import { createDirectoryStore, type DirectoryStoreOptions } from '../../connectors/directory/store.ts'
import type { Input } from '../../connectors/input/input.ts'
import type { NotificationConnector } from '../../connectors/notifications/connector.ts'
import { connectors, formats, sinks } from '../../connectors/registry.ts'
import { isS3Address } from '../../connectors/s3/spec.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { configError } from '../core/errors.ts'
import type { ObjectStore } from '../core/ports.ts'
import type { OnRequest } from '../core/requests.ts'
import type { FormatConnector } from '../plan/format.ts'
import type { SinkKind } from '../plan/sink.ts'

/** Settings to components: the one place that knows every store, with what the registry lists. */
export interface Components {
  readonly clock: Clock
  /** How objects can be written. */
  readonly formats: readonly FormatConnector[]
  /** Where rows can go. */
  readonly sinks: readonly SinkKind[]
  /** A place that is only read. @param field names the address in errors */
  openInput(address: string, field: string, links?: DirectoryStoreOptions['links']): Promise<ObjectStore>
  /** A folder or prefix, one object or a glob: which root to open, and which of its keys are meant. */
  findInput(address: string, field: string): Promise<Input>
  /** For a checkpoint or for output: made when it is not there yet. */
  openWritable(address: string, field: string): Promise<ObjectStore>
  /** What can announce objects. */
  readonly connectors: readonly NotificationConnector[]
  /** Told of each request to a service that charges for it. */
  readonly onRequest?: OnRequest
}

/** Those of millrace. */
export const createComponents = (onRequest?: OnRequest): Components => ({
  clock: systemClock,
  formats,
  sinks,
  // SDKs are loaded when an address asks for one: a local run pays nothing for them.
  async openInput(address, field, links) {
    if (isS3Address(address)) return (await import('../../connectors/s3/open.ts')).openS3(address, field, onRequest)
    return createDirectoryStore(parseDirectoryAddress(address, field), links ? { links } : {})
  },
  async findInput(address, field) {
    if (isS3Address(address))
      return (await import('../../connectors/s3/open.ts')).findS3Input(address, field, onRequest)
    return parseInput(address, field)
  },
  async openWritable(address, field) {
    if (isS3Address(address)) return (await import('../../connectors/s3/open.ts')).openS3(address, field, onRequest)
    const root = parseDirectoryAddress(address, field)
    await makeDirectory(root, address, field)
    // File systems without atomic link and rename are refused (P7).
    await checkFileSystem(root)
    return createDirectoryStore(root)
  },
  connectors,
  ...(onRequest && { onRequest }),
})

export const components: Components = createComponents()

/** Where a file has the name, or a symbolic link that leads nowhere, the option is wrong, not the disk. */
async function makeDirectory(root: string, address: string, field: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (['EEXIST', 'ENOTDIR', 'ENOENT', 'ELOOP'].includes(code))
      throw configError(
        field,
        address,
        'a directory: there is a file of that name, or above it, or a symbolic link that leads nowhere',
        error,
      )
    if (['EACCES', 'EPERM', 'EROFS'].includes(code))
      throw configError(field, address, `a directory that can be made (${code}): make it, or allow it`, error)
    throw error
  }
}
