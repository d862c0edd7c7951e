/** Whether an error of a file system says that something is not there. Anything else, such as a missing permission, is no absence and has to be said. */
export function isAbsent(error: unknown): boolean {
  const { code, name, cause } = (error ?? {}) as { readonly code?: string; readonly name?: string; cause?: unknown };
  if (code === "ENOENT" || code === "ENOTDIR" || name === "NotFoundError") return true;
  return cause !== undefined && cause !== error && isAbsent(cause);
}
