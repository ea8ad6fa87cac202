/** As the formats define them: written out, so that a test notices where the sources have another. */
export const manifestType = "application/vnd.oci.image.manifest.v1+json";
export const indexType = "application/vnd.oci.image.index.v1+json";
export const partType = "application/vnd.ocibundle.weights.part.v1";
export const packConfig = "application/vnd.cncf.model.config.v1+json";
