/** The address of an object below a store's address, as people and other tools read it: without S3's parameters. */
export function objectAddress(storeAddress: string, key: string): string {
  const root = storeAddress.startsWith('s3:') ? storeAddress.replace(/\?[^?]*$/, '') : storeAddress
  return `${root.replace(/\/$/, '')}/${root.startsWith('file:') ? key.replaceAll(/[%#?]/g, encodeURIComponent) : key}`
}
