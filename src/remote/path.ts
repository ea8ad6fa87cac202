/** Whether a path is relative, and leads nowhere but below where it starts. */
export const isSafePath = (path: string): boolean =>
  path.length > 0 &&
  path.length <= 4096 &&
  path.isWellFormed() &&
  !path.includes("\\") &&
  // oxlint-disable-next-line no-control-regex
  !/[\u0000-\u001f\u007f]/.test(path) &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
