import type { Failure } from './errors.ts'

/** How requests and answers of S3 say what the port says. */

export function quoted(eTag: string): string {
  return `"${eTag}"`
}

export function unquoted(eTag: string | undefined): string {
  return (eTag ?? '').replace(/^"|"$/g, '')
}

/** Of an answer. Buckets without versions call the version 'null'. */
export function versioned(versionId: string | undefined): { readonly versionId?: string } {
  return versionId === undefined || versionId === 'null' ? {} : { versionId }
}

/** Of a request that asks for one version. */
export function ofVersion(versionId: string | undefined): { readonly VersionId?: string } {
  return versionId === undefined ? {} : { VersionId: versionId }
}

export function tagged(eTag: string | undefined): { readonly ETag?: string } {
  return eTag === undefined ? {} : { ETag: eTag }
}

export function condition(ifMatch: string): { readonly IfNoneMatch: string } | { readonly IfMatch: string } {
  return ifMatch === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: quoted(ifMatch) }
}

export function sending(signal: AbortSignal | undefined): { readonly abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}

export function copySource(bucket: string, key: string, versionId?: string): string {
  const path = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
  return versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(versionId)}`
}

export function isMissing({ code, status }: Pick<Failure, 'code' | 'status'>): boolean {
  // A delete marker answers 405 to who asks for its version.
  return (status === 404 && code !== 'NoSuchBucket') || (status === 405 && code === 'MethodNotAllowed')
}
