import { OcibundleError } from "../errors.ts";
import type { ReadRange } from "../oci/content.ts";
import { slots } from "../remote/slots.ts";
import { createS3Client, type S3Options } from "./client.ts";
import { listObjects, type S3Object } from "./listing.ts";
import { headObject, objectOpener, type S3Version } from "./object.ts";
import { formatS3Uri, type S3Address } from "./uri.ts";

/** One object store, and what a run knows of it. */
export interface S3Store {
  /** Where it is, for records. */
  name: string;
  /**
   * The objects that an address stands for: the one with that key, else those of the directory. Asked for once
   * for each address. Throws `not_found`, `denied`, `file`, `network`.
   */
  list(address: S3Address, signal: AbortSignal): Promise<S3Listing>;
  /** What an object is now, with what the store says of its content. Throws as `list`, and `integrity`. */
  head(bucket: string, object: S3Object, signal: AbortSignal): Promise<S3Version>;
  /** The bytes of a range of one version of an object. */
  open(bucket: string, key: string, version: S3Version): ReadRange;
}

/** The objects below an address. */
export interface S3Listing {
  objects: S3Object[];
  /** Whether the address is that of the one object. */
  isObject: boolean;
}

/** The store that the environment names. Makes no request by itself. Throws `usage`, `file`. */
export async function openS3Store(options: S3Options): Promise<S3Store> {
  const client = await createS3Client(options);
  const shared = slots();
  const listings = new Map<string, Promise<S3Listing>>();
  const warn = (message: string): void => options.emit({ type: "warning", message });

  const find = async (address: S3Address, signal: AbortSignal): Promise<S3Listing> => {
    const { bucket, key } = address;
    const uri = formatS3Uri(bucket, key);
    let refused: unknown;
    if (!address.isDirectory) {
      const version = await headObject(client, { bucket, key }, { signal, warn }).catch(
        (error: unknown) => {
          // Who may list but not read all objects is told that a missing one is forbidden.
          if (!(error instanceof OcibundleError) || error.code !== "denied") throw error;
          refused = error;
          return undefined;
        },
      );
      if (version !== undefined) {
        const { size, etag } = version;
        // Some programs make an empty object for a directory.
        const isMark =
          size === 0 &&
          (await listObjects(client, address, { signal, warn, atMost: 1 })).length > 0;
        if (!isMark) return { objects: [{ key, size, etag }], isObject: true };
      }
    }
    const objects = await listObjects(client, address, { signal, warn });
    if (objects.length > 0) return { objects, isObject: false };
    throw (
      refused ??
      new OcibundleError("not_found", `${uri} does not exist`, {
        hint: "check the key, the bucket and AWS_ENDPOINT_URL",
      })
    );
  };
  return {
    name: client.store,
    list(address, signal) {
      const id = JSON.stringify(address);
      const known = listings.get(id) ?? find(address, signal);
      listings.set(id, known);
      return known;
    },
    async head(bucket, { key }, signal) {
      const version = await headObject(client, { bucket, key }, { signal, warn });
      if (version !== undefined) return version;
      throw new OcibundleError("integrity", "the object was removed after it was listed", {
        subject: formatS3Uri(bucket, key),
        hint: "run the command again",
      });
    },
    open: (bucket, key, version) => objectOpener(client, { bucket, key }, version, shared),
  };
}
