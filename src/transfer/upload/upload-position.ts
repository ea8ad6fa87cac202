/** How far one blob is on its way up, in bytes. */
export interface UploadPosition {
  /** What the registry has. */
  readonly has: number;
  /** The registry has so much now. True when it never had as much: then there was progress. */
  reached(position: number): boolean;
  /** So much has gone out, whatever came of it. */
  tell(position: number): void;
  /** An earlier run has sent so much. */
  resume(position: number): void;
}

/** `onBytes` is told of further bytes that have gone out; negative when some must go again. */
export function uploadPosition(
  onBytes?: (bytes: number, resumed?: boolean) => void,
): UploadPosition {
  let has = 0;
  let told = 0;
  let furthest = 0;
  const tell = (position: number): void => {
    if (position === told) return;
    onBytes?.(position - told);
    told = position;
  };
  return {
    get has() {
      return has;
    },
    reached(position) {
      has = position;
      tell(position);
      const isProgress = position > furthest;
      furthest = Math.max(furthest, position);
      return isProgress;
    },
    tell,
    resume(position) {
      onBytes?.(position - told, true);
      told = position;
    },
  };
}
