import type { NotificationConnector } from '../../../connectors/notifications/connector.ts'
import { about } from '../../../src/core/finding.ts'
import { text } from '../../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../../src/core/options.ts'
import type { NotificationSpec } from '../../../src/plan/notification-spec.ts'
import { messagesIn, openFolder } from './source.ts'

// A connector as CONTRIBUTING describes one: messages are files of a folder. All of it lies in this folder.

export interface FolderOptions {
  readonly path: string
  readonly password?: string
}

export interface FolderSpec extends NotificationSpec {
  readonly notifications: 'folder'
  readonly path: string
  readonly password?: string
}

const folderOptions = {
  path: { kind: text(), isRequired: true, about: 'The folder that the messages lie in.' },
  password: { kind: text(), isSecret: true, about: 'What nobody may see.' },
} satisfies OptionTable<FolderOptions>

export function folder(options: FolderOptions): FolderSpec {
  return { notifications: 'folder', ...readCall('folder', folderOptions, [], options) }
}

export const folderConnector: NotificationConnector<FolderSpec, { readonly messages: number | undefined }> = {
  kind: 'folder',
  call: 'folder({...})',
  options: folderOptions,
  open: async (spec, context) => openFolder(spec.path, context),
  async describe({ path }) {
    const names = await messagesIn(path).catch(() => undefined)
    return { messages: names?.length }
  },
  judge({ path }, { messages }) {
    const judge = about('folder')
    return {
      findings: [
        messages === undefined
          ? judge('problem', `folder ${path} is not there. Make it`)
          : judge('ok', `folder ${path} is there, with ${messages} messages`),
      ],
    }
  },
}
