import { maxManifestBytes } from "../../../oci/document.ts";
import { Refusal } from "./refusal.ts";

/** A manifest's bytes out of a request, of which no more than the limit is ever taken in. */
export async function readManifestBody(request: Request): Promise<Uint8Array> {
  const tooLarge = new Refusal(413, {
    code: "SIZE_INVALID",
    message: "the manifest is too large",
    detail: { limit: maxManifestBytes },
  });
  if (Number(request.headers.get("Content-Length") ?? 0) > maxManifestBytes) throw tooLarge;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > maxManifestBytes) throw tooLarge;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}
