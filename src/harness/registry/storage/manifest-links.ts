import { join } from "node:path";
import * as v from "valibot";
import { DescriptorSchema, type Descriptor, MediaTypeSchema } from "../../../oci/descriptor.ts";
import { type Digest, DigestSchema, digestAlgorithm, digestHex } from "../../../oci/digest.ts";
import { maxManifestBytes } from "../../../oci/document.ts";
import { readRecord } from "../../../store/cache/record-file.ts";
import { isLinked } from "./blob-links.ts";
import type { Content } from "./content.ts";
import { namesIn, replaceSmall, removed } from "./files.ts";
import type { Turns } from "./in-turn.ts";
import { digestPath, repositoriesDirectory } from "./paths.ts";
import { repositoryParts } from "./repositories.ts";

/** A manifest of a repository; its bytes are content. */
export interface StoredManifest {
  /** As the client that pushed it said. */
  mediaType: string;
  /** In bytes. */
  size: number;
}

/** What a manifest says of itself to those who ask for its subject's referrers. */
export interface Referrer {
  subject: Digest;
  descriptor: Descriptor;
}

/** A manifest to store. */
export interface NewManifest {
  digest: Digest;
  mediaType: string;
  bytes: Uint8Array;
  referrer?: Referrer | undefined;
}

/** Which repository has which manifest, and which of them refer to which subject. */
export interface ManifestLinks {
  find(repository: string, digest: Digest): Promise<StoredManifest | undefined>;
  put(repository: string, manifest: NewManifest): Promise<void>;
  /** Removes the content too when no other repository has it. False: it was not there. */
  remove(repository: string, digest: Digest): Promise<boolean>;
  /** Descriptors of the manifests whose subject this is, ordered by digest. */
  referrers(repository: string, subject: Digest): Promise<Descriptor[]>;
}

const LinkSchema = v.object({
  mediaType: MediaTypeSchema,
  subject: v.optional(DigestSchema),
});
const maxLinkBytes = 64 * 1024;

/** The links in a storage at `root`. Touches no file by itself. */
export function openManifestLinks(root: string, content: Content, turns: Turns): ManifestLinks {
  const directory = (repository: string, part: string): string =>
    join(repositoriesDirectory(root), repository, part);
  const linkPath = (repository: string, digest: Digest): string =>
    digestPath(directory(repository, repositoryParts.manifests), digest);
  const subjectDirectory = (repository: string, subject: Digest): string =>
    digestPath(directory(repository, repositoryParts.referrers), subject);
  const referrerPath = (repository: string, subject: Digest, digest: Digest): string =>
    join(subjectDirectory(repository, subject), `${digestAlgorithm(digest)}-${digestHex(digest)}`);
  const readLink = (repository: string, digest: Digest) =>
    readRecord(linkPath(repository, digest), LinkSchema, maxLinkBytes, { ofAnyone: true });

  return {
    async find(repository, digest) {
      const link = await readLink(repository, digest);
      const size = link === undefined ? undefined : await content.size(digest);
      return link === undefined || size === undefined
        ? undefined
        : { mediaType: link.mediaType, size };
    },
    put: (repository, { digest, mediaType, bytes, referrer }) =>
      turns.inTurn(digest, async () => {
        await content.write(bytes, digest);
        // Who lists the referrers right after the answer must see it, so it comes before the link.
        if (referrer !== undefined) {
          const path = referrerPath(repository, referrer.subject, digest);
          await replaceSmall(path, JSON.stringify(referrer.descriptor));
        }
        const link = { mediaType, ...(referrer && { subject: referrer.subject }) };
        await replaceSmall(linkPath(repository, digest), JSON.stringify(link));
      }),
    remove: (repository, digest) =>
      turns.inTurn(digest, async () => {
        const link = await readLink(repository, digest);
        if (link?.subject !== undefined) {
          await removed(referrerPath(repository, link.subject, digest));
        }
        if (!(await removed(linkPath(repository, digest)))) return false;
        if (!(await isLinked(root, digest))) await content.remove(digest);
        return true;
      }),
    async referrers(repository, subject) {
      const found: Descriptor[] = [];
      const path = subjectDirectory(repository, subject);
      for (const name of (await namesIn(path)).toSorted()) {
        if (name.startsWith(".")) continue;
        const descriptor = await readRecord(join(path, name), DescriptorSchema, maxManifestBytes, {
          ofAnyone: true,
        });
        if (descriptor !== undefined) found.push(descriptor);
      }
      return found;
    },
  };
}
