/** Whether a path is relative, and leads nowhere but below where it starts. */
export const isSafePath = (path: string): boolean =>
  path.length > 0 &&
  path.length <= 4096 &&
  path.isWellFormed() &&
  !path.includes("\\") &&
  !/\p{Cc}/u.test(path) &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
