/** The folder beside the weights in which `pull` says how far it is (docs/pull.md). */
export const markerFolder = ".cog";
