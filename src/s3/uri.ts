import { OcibundleError } from "../errors.ts";
import { isSafePath } from "../remote/path.ts";

/** A bucket of an object store, or a part of it: `s3://BUCKET[/PREFIX]`. */
export interface S3Address {
  bucket: string;
  /** An object, or a directory of them, without slashes at its ends; empty for the whole bucket. */
  key: string;
  /** Whether a slash at the end says that it is no object. */
  isDirectory: boolean;
}

const scheme = /^s3:\/\//i;

/** Whether a text names something in a bucket. */
export const isS3Uri = (text: string): boolean => scheme.test(text);

/** Amazon's rule, and the letters that older buckets and other stores have besides. */
const bucketPattern = /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/;

/** Reads the address of a bucket. The key is taken as it is, without percent-encoding. Throws `usage`. */
export function parseS3Uri(text: string): S3Address {
  const fail = (why: string): never => {
    throw new OcibundleError("usage", `${JSON.stringify(text)} ${why}`, {
      hint: "use s3://BUCKET, s3://BUCKET/PREFIX/ or s3://BUCKET/KEY",
    });
  };
  const rest = text.replace(scheme, "");
  const slash = rest.indexOf("/");
  const bucket = slash === -1 ? rest : rest.slice(0, slash);
  if (bucket.includes("@")) fail("contains a username; credentials are read from the environment");
  if (!bucketPattern.test(bucket)) fail("does not name a bucket");
  const path = slash === -1 ? "" : rest.slice(slash + 1);
  const key = path.endsWith("/") ? path.slice(0, -1) : path;
  if (key !== "" && !isSafePath(key)) fail("has a key that is not a valid file path");
  return { bucket, key, isDirectory: key === "" || path.endsWith("/") };
}

/** The address of an object or a directory. */
export const formatS3Uri = (bucket: string, key: string): string =>
  key === "" ? `s3://${bucket}` : `s3://${bucket}/${key}`;
