/** An entry of a lock or a weights artifact (docs/format.md). Members that other programs added are kept. */
export interface ReportedWeight {
  name: string;
  /** The absolute path in the container. */
  dest: string;
  /** Of the file as it is. */
  digestOriginal: `sha256:${string}`;
  /** Of the blob that stores the file. */
  digest: `sha256:${string}`;
  /** Of the blob, in bytes. */
  size: number;
  /** Of the file, in bytes. */
  sizeUncompressed: number;
  /** Of the blob: by how the file is stored in it. */
  mediaType: `application/vnd.cog.weights.layer.v1${"" | "+gzip" | "+zstd"}`;
  contentType?: string | undefined;
  [member: string]: unknown;
}
